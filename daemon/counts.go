package daemon

import (
	"cmp"
	"maps"
	"math/bits"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
)

// other is the label of values beyond a limit, and of unknown ones.
const other = "other"

// counts counts what happens from the daemon's start on, for the metrics. It is safe for concurrent use.
type counts struct {
	mu              sync.Mutex
	drifts, repairs map[status.Labels]int64
	// blocked has the blocked writes by the kind of their events.
	blocked map[reconcile.Kind]map[status.Labels]int64
	// passes and overflows are indexed by the bit of a reconcile.Reason.
	passes, overflows    [8]int64
	repairTook, passTook *histogram

	// unrepaired has, by setting, the value found of a drift that was counted and is not repaired yet: its
	// repair is not another drift.
	unrepaired map[string]string
	// writers has the values of the label by so far.
	writers map[string]bool
}

func newCounts() *counts {
	return &counts{
		drifts: map[status.Labels]int64{}, repairs: map[status.Labels]int64{},
		blocked: map[reconcile.Kind]map[status.Labels]int64{
			reconcile.KindRefusedWrite: {}, reconcile.KindAbsorbedWrite: {},
		},
		unrepaired: map[string]string{}, writers: map[string]bool{},
		// A repair is a write and a read; to fill a large hash table takes a second.
		repairTook: newHistogram(1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10),
		// A pass that changes nothing takes some 2 µs for each setting.
		passTook: newHistogram(1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 5e-3, .025, .1, .5, 2.5, 10),
	}
}

// record counts an event, also a quiet one.
func (c *counts) record(e reconcile.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.Kind == reconcile.KindForbidden && !e.Want.Known() {
		// Several settings that cannot be written for one reason. An event of a setting that cannot be
		// read has a Want, and is no repair.
		for _, name := range e.SettingNames() {
			c.countRepair(clean(name), e.Result)
		}
		return
	}
	name := clean(e.Setting)
	if e.Kind.IsBlockedWrite() {
		c.blocked[e.Kind][status.Labels{Setting: name, By: c.writerLabel(e)}]++
		return
	}
	if name == "" || e.Cause == "" || e.Kind == reconcile.KindSettled {
		return
	}
	if c.isNewDrift(name, e) {
		c.drifts[status.Labels{Setting: name, Cause: oneOf(e.Cause, causes()), By: c.writerLabel(e)}]++
	}
	c.unrepaired[name] = e.Found.String()
	if e.Result == "" {
		return
	}
	c.countRepair(name, e.Result)
	if e.Kind == reconcile.KindDrift && e.Result == reconcile.ResultRepaired {
		delete(c.unrepaired, name)
		c.repairTook.observe(time.Duration(e.Duration))
	}
}

// isNewDrift reports whether the drift of an event has not been counted yet. A drift whose repair was
// postponed or failed has another event when it is repaired.
func (c *counts) isNewDrift(name string, e reconcile.Event) bool {
	if e.Kind == reconcile.KindDrift && e.Result != reconcile.ResultRepaired {
		return true
	}
	found, open := c.unrepaired[name]
	return !open || found != e.Found.String()
}

func (c *counts) countRepair(name string, result reconcile.Result) {
	c.repairs[status.Labels{Setting: name, Result: oneOf(result, results())}]++
}

// recordPass counts a pass by what woke it.
func (c *counts) recordPass(reasons reconcile.Reason, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.passTook.observe(took)
	for r := reasons; r != 0; r &= r - 1 {
		c.passes[bits.TrailingZeros8(uint8(r))]++
	}
}

// recordOverflow counts an overrun of the queue whose events have this reason.
func (c *counts) recordOverflow(reason reconcile.Reason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.overflows[bits.TrailingZeros8(uint8(reason))]++
}

// snapshot returns what was counted. The series of the configured settings start at 0, so that rate() in Prometheus
// sees the first event, and those of the others are deleted.
func (c *counts) snapshot(configured []reconcile.SettingStatus) status.Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.syncSeries(configured)
	out := status.Counts{
		Drifts: listOf(c.drifts), Repairs: listOf(c.repairs),
		RefusedWrites:  listOf(c.blocked[reconcile.KindRefusedWrite]),
		AbsorbedWrites: listOf(c.blocked[reconcile.KindAbsorbedWrite]),
		Passes:         map[string]int64{}, Overflows: map[string]int64{},
		RepairDuration: c.repairTook.snapshot(), PassDuration: c.passTook.snapshot(),
	}
	for r := reconcile.Start; r <= reconcile.Guard; r <<= 1 {
		out.Passes[r.String()] = c.passes[bits.TrailingZeros8(uint8(r))]
	}
	for _, r := range []reconcile.Reason{reconcile.ModuleChange, reconcile.Write, reconcile.Guard} {
		out.Overflows[r.String()] = c.overflows[bits.TrailingZeros8(uint8(r))]
	}
	return out
}

func (c *counts) syncSeries(settings []reconcile.SettingStatus) {
	configured := map[string]bool{}
	for _, s := range settings {
		configured[clean(s.Name)] = true
	}
	foreign := func(l status.Labels, _ int64) bool { return !configured[l.Setting] }
	maps.DeleteFunc(c.drifts, foreign)
	maps.DeleteFunc(c.repairs, foreign)
	for _, series := range c.blocked {
		maps.DeleteFunc(series, foreign)
	}
	maps.DeleteFunc(c.unrepaired, func(name, _ string) bool { return !configured[name] })
	for name := range configured {
		for _, cause := range causes() {
			c.drifts[status.Labels{Setting: name, Cause: string(cause)}] += 0
		}
		for _, result := range results() {
			c.repairs[status.Labels{Setting: name, Result: string(result)}] += 0
		}
	}
}

// listOf returns series in the order of their labels.
func listOf(series map[status.Labels]int64) []status.Count {
	list := make([]status.Count, 0, len(series))
	for labels, n := range series {
		list = append(list, status.Count{Labels: labels, Count: n})
	}
	slices.SortFunc(list, func(a, b status.Count) int {
		return cmp.Or(strings.Compare(a.Setting, b.Setting), strings.Compare(a.Cause, b.Cause),
			strings.Compare(a.Result, b.Result), strings.Compare(a.By, b.By))
	})
	return list
}

func causes() []reconcile.Cause {
	return []reconcile.Cause{reconcile.CauseStart, reconcile.CauseConfig, reconcile.CauseModuleLoad,
		reconcile.CauseWrite, reconcile.CauseResync}
}

func results() []reconcile.Result {
	return []reconcile.Result{reconcile.ResultRepaired, reconcile.ResultObserved, reconcile.ResultFailed}
}

// oneOf returns the value if it is one of known, else other.
func oneOf[T ~string](value T, known []T) string {
	if slices.Contains(known, value) {
		return string(value)
	}
	return other
}

// clean makes a text valid as a label's value: Prometheus accepts any UTF-8 and nothing else.
func clean(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

// histogram counts durations between bounds in seconds.
type histogram struct {
	bounds []float64
	counts []int64 // one more: those above the last bound
	sum    float64
}

func newHistogram(bounds ...float64) *histogram {
	return &histogram{bounds: bounds, counts: make([]int64, len(bounds)+1)}
}

func (h *histogram) observe(took time.Duration) {
	h.counts[sort.SearchFloat64s(h.bounds, took.Seconds())]++
	h.sum += took.Seconds()
}

func (h *histogram) snapshot() status.Histogram {
	out := status.Histogram{Sum: h.sum}
	for i, n := range h.counts {
		out.Count += n
		if i < len(h.bounds) {
			out.Buckets = append(out.Buckets, status.Bucket{UpTo: h.bounds[i], Count: out.Count})
		}
	}
	return out
}

package metrics

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/sysfs"
	"github.com/ctkeeper/ctkeeper/table"
)

// The kinds of kernel message that KernelMessage counts.
const (
	// TableFull is "nf_conntrack: table full, dropping packet" (__nf_conntrack_alloc).
	TableFull = "table-full"
	// ExpectationsFull is "nf_conntrack: expectation table full" (__nf_ct_expect_check).
	ExpectationsFull = "expectation-table-full"
)

// maxValues bounds the values of a label whose values come from elsewhere in the
// daemon; what is beyond is counted under other.
const (
	maxValues = 16
	other     = "other"
)

// Now is what the gauges show, read at each scrape.
type Now struct {
	Settings []reconcile.Setting
	Loaded   bool
	Loads    int
	// ConfigOK is false while the newest configuration is refused; ConfigAt is when one
	// last came into force.
	ConfigOK bool
	ConfigAt time.Time
	Table    table.Sample
	ByHelper map[string]int64
	// Levels are those of table.State.
	Levels map[string]table.Level
	// KernelLog is true while the kernel's log is read: its counters then stand at 0
	// from the beginning.
	KernelLog bool
	// Guard is its state: off, watching, locked or unavailable. Empty is off.
	Guard string
}

// Metrics is the registry. It implements reconcile.Recorder. All its methods may be
// called from several goroutines.
type Metrics struct {
	now func() Now
	// own is ctkeeper's metrics; process is the process_* that every exporter has.
	own, process *prometheus.Registry

	drifts, repairs, refused, events, overflows, messages *prometheus.CounterVec
	repairTook, passTook                                  prometheus.Histogram

	mu sync.Mutex
	// unrepaired is, by setting, the value of a drift that was counted and not
	// repaired: its repair is the end of that drift and no other one.
	unrepaired map[string]sysfs.Value
	// counted are the settings with series in drifts, repairs and refused.
	counted map[string]bool
	// writers are the values that the label by has had.
	writers map[string]bool
	// values are those that a label has had, by metric.
	values map[string]map[string]bool
}

// New makes the registry; now is asked at each scrape and must be quick: it is given
// what is known, and looks at nothing whose size grows with the table.
func New(version string, now func() Now) *Metrics {
	m := &Metrics{
		now: now, own: prometheus.NewRegistry(), process: prometheus.NewRegistry(),
		drifts: counterVec(driftTotal), repairs: counterVec(repairsTotal), refused: counterVec(refusedWritesTotal),
		events: counterVec(eventsTotal), overflows: counterVec(eventOverflowsTotal), messages: counterVec(kernelMessagesTotal),
		// A repair is a write and a read; a large hash table takes a second to fill.
		repairTook: histogramOf(repairDuration, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10),
		// A pass that changes nothing takes some 2 µs for each setting.
		passTook:   histogramOf(passDuration, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 5e-3, .025, .1, .5, 2.5, 10),
		unrepaired: map[string]sysfs.Value{}, counted: map[string]bool{}, writers: map[string]bool{}, values: map[string]map[string]bool{},
	}
	for reason := reconcile.Start; reason <= reconcile.Guard; reason <<= 1 {
		m.count(m.events, eventsTotal, reason.String(), 0)
	}
	for _, reason := range []reconcile.Reason{reconcile.ModuleMoved, reconcile.Write, reconcile.Guard} {
		m.count(m.overflows, eventOverflowsTotal, reason.String(), 0)
	}
	m.own.MustRegister(newScrape(m, version), m.events, m.overflows, m.repairTook, m.passTook)
	m.process.MustRegister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func counterVec(name string) *prometheus.CounterVec {
	f := the(name)
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: f.name, Help: f.help}, f.labels)
}

func histogramOf(name string, buckets ...float64) prometheus.Histogram {
	f := the(name)
	return prometheus.NewHistogram(prometheus.HistogramOpts{Name: f.name, Help: f.help, Buckets: buckets})
}

// Record counts an event, quiet ones included.
func (m *Metrics) Record(e reconcile.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e.Kind == reconcile.KindForbidden && !e.Want.Known() {
		// Several settings that may not be written for one reason; what may not be
		// read has its want, and was no try to repair.
		for _, name := range e.Names() {
			m.repair(clean(name), e.Result)
		}
		return
	}
	if e.Kind == reconcile.KindRefusedWrite {
		m.counted[clean(e.Setting)] = true
		m.refused.WithLabelValues(clean(e.Setting), m.writer(e)).Inc()
		return
	}
	if e.Setting == "" || e.Cause == "" || e.Kind == reconcile.KindSettled {
		return
	}
	name := clean(e.Setting)
	if m.isNew(name, e) {
		m.counted[name] = true
		m.drifts.WithLabelValues(name, oneOf(e.Cause, causes()), m.writer(e)).Inc()
	}
	m.unrepaired[name] = e.Found
	if e.Result == "" {
		return
	}
	m.repair(name, e.Result)
	if e.Kind == reconcile.KindDrift && e.Result == reconcile.Repaired {
		delete(m.unrepaired, name)
		m.repairTook.Observe(time.Duration(e.Duration).Seconds())
	}
}

// isNew reports whether an event tells of a drift that has not been counted yet. A
// drift that was put off, or could not be repaired, is told of again when it is.
func (m *Metrics) isNew(name string, e reconcile.Event) bool {
	if e.Kind == reconcile.KindDrift && e.Result != reconcile.Repaired {
		return true
	}
	found, open := m.unrepaired[name]
	return !open || found != e.Found
}

func (m *Metrics) repair(name string, result reconcile.Result) {
	m.counted[name] = true
	m.repairs.WithLabelValues(name, oneOf(result, results())).Inc()
}

// Passed notes a pass: what woke it (a reconcile.Reason's String) and how long it took.
func (m *Metrics) Passed(source string, took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.passTook.Observe(took.Seconds())
	for one := range strings.SplitSeq(source, "+") {
		m.count(m.events, eventsTotal, one, 1)
	}
}

// Overflowed counts a queue that overran, by the reconcile.Reason that it wakes for.
func (m *Metrics) Overflowed(source string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.count(m.overflows, eventOverflowsTotal, source, 1)
}

// KernelMessage counts a message of the kernel: TableFull or ExpectationsFull.
func (m *Metrics) KernelMessage(kind string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.count(m.messages, kernelMessagesTotal, kind, 1)
}

// logIsRead has the kernel's messages stand at 0 until there are some.
func (m *Metrics) logIsRead() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.count(m.messages, kernelMessagesTotal, TableFull, 0)
	m.count(m.messages, kernelMessagesTotal, ExpectationsFull, 0)
}

// count adds to a counter with one label.
func (m *Metrics) count(vec *prometheus.CounterVec, name, value string, by float64) {
	value = clean(value)
	seen := m.values[name]
	if seen == nil {
		seen = map[string]bool{}
		m.values[name] = seen
	}
	if !seen[value] && len(seen) >= maxValues {
		value = other
	}
	seen[value] = true
	vec.WithLabelValues(value).Add(by)
}

// keep gives every setting in force its series of drifts and repairs, at 0 if need
// be, so that rate() sees the first event; and lets go of the others.
func (m *Metrics) keep(inForce map[string]bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name := range m.counted {
		if !inForce[name] {
			delete(m.counted, name)
			delete(m.unrepaired, name)
			m.drifts.DeletePartialMatch(prometheus.Labels{labelSetting: name})
			m.repairs.DeletePartialMatch(prometheus.Labels{labelSetting: name})
			m.refused.DeletePartialMatch(prometheus.Labels{labelSetting: name})
		}
	}
	for name := range maps.Keys(inForce) {
		m.counted[name] = true
		for _, cause := range causes() {
			m.drifts.WithLabelValues(name, string(cause), "")
		}
		for _, result := range results() {
			m.repairs.WithLabelValues(name, string(result))
		}
	}
}

func causes() []reconcile.Cause {
	return []reconcile.Cause{reconcile.CauseStart, reconcile.CauseConfig, reconcile.CauseModuleLoad, reconcile.CauseWrite, reconcile.CauseResync}
}

func results() []reconcile.Result {
	return []reconcile.Result{reconcile.Repaired, reconcile.Observed, reconcile.NotRepaired}
}

// oneOf is the value where it is a known one, else other.
func oneOf[T ~string](value T, known []T) string {
	if slices.Contains(known, value) {
		return string(value)
	}
	return other
}

// clean makes any text a label's value: Prometheus takes every UTF-8 and nothing
// else. It escapes line ends itself.
func clean(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

// Handler serves the text format, and OpenMetrics to who asks for it; packed, to who
// takes it so.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(prometheus.Gatherers{m.own, m.process}, promhttp.HandlerOpts{
		EnableOpenMetrics: true, ErrorHandling: promhttp.ContinueOnError,
	})
}

// textfile is what WriteTextfile writes; the collector reads what ends so.
const textfile = "ctkeeper.prom"

// WriteTextfile writes DIR/ctkeeper.prom for node_exporter's textfile collector: a file
// beside it, with mode 0644, which then takes its place. The directory has to be there.
// process_* is left out, which node_exporter has of itself.
func (m *Metrics) WriteTextfile(dir string) error {
	path := filepath.Join(dir, textfile)
	err := prometheus.WriteToTextfile(path, m.own)
	// These name the file beside it, which is another one at each try.
	if within, ok := errors.AsType[*fs.PathError](err); ok {
		err = within.Err
	} else if within, ok := errors.AsType[*os.LinkError](err); ok {
		err = within.Err
	}
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return nil
}

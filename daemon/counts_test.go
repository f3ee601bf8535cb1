package daemon

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// maxWant returns the want that max is 1.
func maxWant() sysfs.Want { return sysfs.Want{Setting: sysfs.Lookup("max"), Value: sysfs.Number(1)} }

// valueOf parses a value as the kernel shows it; the empty text is an unknown value.
func valueOf(text string) sysfs.Value {
	if text == "" {
		return sysfs.Value{}
	}
	return (&sysfs.Setting{}).Parse(text)
}

func driftEvent(found string, cause reconcile.Cause, result reconcile.Result, took time.Duration) reconcile.Event {
	return reconcile.Event{Kind: reconcile.KindDrift, Setting: "max", Want: sysfs.Number(1), Found: valueOf(found),
		Cause: cause, Result: result, Duration: reconcile.Duration(took)}
}

// configured are the settings of the tests.
func configured(names ...string) []reconcile.SettingStatus {
	var list []reconcile.SettingStatus
	for _, name := range names {
		list = append(list, reconcile.SettingStatus{Comparison: reconcile.Comparison{Name: name}})
	}
	return list
}

// shown returns the series of max and hashsize that are not 0, as metrics show them.
func shown(c *counts) []string {
	counted := c.snapshot(configured("max", "hashsize"))
	lines := []string{}
	add := func(name string, counts []status.Count, labels func(status.Count) []string) {
		for _, n := range counts {
			if n.Count != 0 {
				lines = append(lines, fmt.Sprintf("%s{%s} %d", name, strings.Join(labels(n), ","), n.Count))
			}
		}
	}
	add("drift", counted.Drifts, func(n status.Count) []string { return []string{n.By, n.Cause, n.Setting} })
	if n := counted.RepairDuration.Count; n != 0 {
		lines = append(lines, fmt.Sprintf("repair_duration %d", n))
	}
	add("repairs", counted.Repairs, func(n status.Count) []string { return []string{n.Result, n.Setting} })
	add("refused", counted.RefusedWrites, func(n status.Count) []string { return []string{n.By, n.Setting} })
	add("absorbed", counted.AbsorbedWrites, func(n status.Count) []string { return []string{n.By, n.Setting} })
	return lines
}

var (
	contested = reconcile.Event{
		Kind:    reconcile.KindContested,
		Setting: "max",
		Want:    sysfs.Number(1),
		Found:   sysfs.Number(5),
		Cause:   reconcile.CauseWrite,
	}
	// A postponed repair: its drift is counted, not logged, and has no result yet.
	postponed = reconcile.Event{
		Kind:      reconcile.KindDrift,
		Setting:   "max",
		Want:      sysfs.Number(1),
		Found:     sysfs.Number(5),
		Cause:     reconcile.CauseWrite,
		CountOnly: true,
	}
	repaired = driftEvent("5", reconcile.CauseWrite, reconcile.ResultRepaired, time.Millisecond)
	observed = driftEvent("5", reconcile.CauseResync, reconcile.ResultObserved, 0)
)

// failed is a repair of max from 5 that the kernel refuses.
func failed(why string) reconcile.Event {
	return reconcile.Event{
		Kind:    reconcile.KindFailed,
		Setting: "max",
		Want:    sysfs.Number(1),
		Found:   sysfs.Number(5),
		Cause:   reconcile.CauseWrite,
		Result:  reconcile.ResultFailed,
		Error:   why,
	}
}

var recordTests = []struct {
	name   string
	events []reconcile.Event
	want   []string
}{
	{"repaired twice", []reconcile.Event{repaired, repaired}, []string{
		"drift{,write,max} 2",
		"repair_duration 2",
		"repairs{repaired,max} 2",
	}},
	{"postponed, then repaired, is one drift", []reconcile.Event{postponed, repaired}, []string{
		"drift{,write,max} 1",
		"repair_duration 1",
		"repairs{repaired,max} 1",
	}},
	{"another value in between is another drift",
		[]reconcile.Event{driftEvent("6", reconcile.CauseWrite, "", 0), repaired}, []string{
			"drift{,write,max} 2",
			"repair_duration 1",
			"repairs{repaired,max} 1",
		}},
	{"a contest begins with a drift", []reconcile.Event{contested, repaired,
		{Kind: reconcile.KindSettled, Setting: "max", Found: sysfs.Number(1), Cause: reconcile.CauseWrite}},
		[]string{
			"drift{,write,max} 1",
			"repair_duration 1",
			"repairs{repaired,max} 1",
		}},
	{"refused, refused for another reason, then repaired",
		[]reconcile.Event{failed("EINVAL"), failed("ENOMEM"), repaired}, []string{
			"drift{,write,max} 1",
			"repair_duration 1",
			"repairs{failed,max} 2",
			"repairs{repaired,max} 1",
		}},
	{"observed again after it was in sync", []reconcile.Event{observed, observed}, []string{
		"drift{,resync,max} 2",
		"repairs{observed,max} 2",
	}},
	{"several forbidden", []reconcile.Event{{Kind: reconcile.KindForbidden, Settings: []string{"max", "hashsize"},
		Result: reconcile.ResultFailed}}, []string{
		"repairs{failed,hashsize} 1",
		"repairs{failed,max} 1",
	}},
	{"an unreadable setting is not a repair", []reconcile.Event{{Kind: reconcile.KindForbidden, Setting: "max",
		Want: sysfs.Number(1), Found: sysfs.Value{}, Result: reconcile.ResultFailed}}, []string{}},
	{"a module load is not a drift", []reconcile.Event{{Kind: reconcile.KindModuleLoad}}, []string{}},
	{"unknown cause and result", []reconcile.Event{driftEvent("5", "moon", "maybe", 0)}, []string{
		"drift{,other,max} 1",
		"repairs{other,max} 1",
	}},
	{
		"not configured",
		[]reconcile.Event{{Kind: reconcile.KindDrift, Setting: "acct", Found: sysfs.Number(1),
			Cause: reconcile.CauseWrite, Result: reconcile.ResultRepaired}},
		[]string{
			"repair_duration 1",
		},
	},
}

func TestRecord(t *testing.T) {
	for _, test := range recordTests {
		t.Run(test.name, func(t *testing.T) {
			c := newCounts()
			for _, e := range test.events {
				c.record(e)
			}
			if diff := cmp.Diff(test.want, shown(c)); diff != "" {
				t.Errorf("series (-want +got):\n%s", diff)
			}
		})
	}
}

// The series of a setting are deleted when it leaves the configuration, and start at 0 when it returns.
func TestSettingRemovedAndAdded(t *testing.T) {
	c := newCounts()
	c.record(driftEvent("5", reconcile.CauseWrite, "", 0))
	c.record(reconcile.BlockedWriteEvent(time.Now(), reconcile.KindRefusedWrite, maxWant(), "5", nil))
	c.record(reconcile.BlockedWriteEvent(time.Now(), reconcile.KindAbsorbedWrite, maxWant(), "5", nil))
	for _, test := range []struct {
		settings                 []string
		drifts, repairs, blocked int
	}{{[]string{"max", "acct"}, 2 * 5, 2 * 3, 1}, {nil, 0, 0, 0}, {[]string{"max"}, 5, 3, 0}} {
		s := c.snapshot(configured(test.settings...))
		got := []int{len(s.Drifts), len(s.Repairs), len(s.RefusedWrites), len(s.AbsorbedWrites)}
		if diff := cmp.Diff([]int{test.drifts, test.repairs, test.blocked, test.blocked}, got); diff != "" {
			t.Errorf("series of %q (-want +got):\n%s", test.settings, diff)
		}
	}
	if diff := cmp.Diff([]string{}, shown(c)); diff != "" {
		t.Errorf("a setting that returned (-want +got):\n%s", diff)
	}
	c.record(driftEvent("5", reconcile.CauseWrite, reconcile.ResultRepaired, 1))
	want := []string{"drift{,write,max} 1", "repair_duration 1", "repairs{repaired,max} 1"}
	if diff := cmp.Diff(want, shown(c)); diff != "" {
		t.Errorf("its first drift (-want +got):\n%s", diff)
	}
}

// A pass counts for each of its sources, which all start at 0.
func TestPassesAndOverflows(t *testing.T) {
	c := newCounts()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 50 {
				c.recordPass(reconcile.Write|reconcile.Overflow, time.Millisecond)
				c.recordOverflow(reconcile.Write)
				_ = c.snapshot(nil)
			}
		})
	}
	all.Wait()
	s := c.snapshot(nil)
	want := map[string]int64{
		"start": 0, "config": 0, "module": 0, "write": 200, "resync": 0, "overflow": 200, "guard": 0,
	}
	if diff := cmp.Diff(want, s.Passes); diff != "" {
		t.Errorf("passes (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int64{"module": 0, "write": 200, "guard": 0}, s.Overflows); diff != "" {
		t.Errorf("overflows (-want +got):\n%s", diff)
	}
	if s.PassDuration.Count != 200 {
		t.Errorf("%d passes with a duration, want 200", s.PassDuration.Count)
	}
}

// A bucket includes its bound and the buckets before it; the last values are above every bound.
func TestHistogram(t *testing.T) {
	h := newHistogram(1, 2)
	for _, took := range []time.Duration{0, time.Second, 1500 * time.Millisecond, time.Minute} {
		h.observe(took)
	}
	want := status.Histogram{Buckets: []status.Bucket{{UpTo: 1, Count: 2}, {UpTo: 2, Count: 3}}, Count: 4, Sum: 62.5}
	if diff := cmp.Diff(want, h.snapshot()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func FuzzCount(f *testing.F) {
	f.Add("max", "5", "write", "repaired", "drift", "sip")
	f.Add("a\nb\"\\", "\xff", "\xfe", "x\n# EOF", "forbidden", "\x00")
	f.Add("max", "run-u1.service", "write", "", "refused-write", "sh")
	f.Add("max", "run-u1.service", "write", "", "absorbed-write", "sh")
	f.Fuzz(func(t *testing.T, name, found, cause, result, kind, comm string) {
		c := newCounts()
		for _, want := range []string{"", found} {
			c.record(reconcile.Event{Kind: reconcile.Kind(kind), Setting: name, Want: valueOf(want),
				Found: valueOf(found), Cause: reconcile.Cause(cause), Result: reconcile.Result(result),
				By: &sysfs.Writer{Comm: comm, Unit: found, Container: want}})
		}
		s := c.snapshot(configured(name))
		for _, n := range slices.Concat(s.Drifts, s.Repairs, s.RefusedWrites, s.AbsorbedWrites) {
			if n.Setting != clean(name) || clean(n.By) != n.By ||
				n.Cause != "" && oneOf(reconcile.Cause(n.Cause), causes()) != n.Cause {
				t.Errorf("labels %+q", n.Labels)
			}
		}
	})
}

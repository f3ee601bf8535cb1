package metrics

import (
	"maps"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

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
	repaired = drift("max", "5", reconcile.CauseWrite, reconcile.ResultRepaired, time.Millisecond)
	observed = drift("max", "5", reconcile.CauseResync, reconcile.ResultObserved, 0)
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
		`ctkeeper_drift_total{by="",cause="write",setting="max"} 2`,
		`ctkeeper_repair_duration_seconds_count 2`,
		`ctkeeper_repairs_total{result="repaired",setting="max"} 2`,
	}},
	{"postponed, then repaired, is one drift", []reconcile.Event{postponed, repaired}, []string{
		`ctkeeper_drift_total{by="",cause="write",setting="max"} 1`,
		`ctkeeper_repair_duration_seconds_count 1`,
		`ctkeeper_repairs_total{result="repaired",setting="max"} 1`,
	}},
	{"another value in between is another drift",
		[]reconcile.Event{drift("max", "6", reconcile.CauseWrite, "", 0), repaired}, []string{
			`ctkeeper_drift_total{by="",cause="write",setting="max"} 2`,
			`ctkeeper_repair_duration_seconds_count 1`,
			`ctkeeper_repairs_total{result="repaired",setting="max"} 1`,
		}},
	{"a contest begins with a drift", []reconcile.Event{contested, repaired,
		{Kind: reconcile.KindSettled, Setting: "max", Found: sysfs.Number(1), Cause: reconcile.CauseWrite}},
		[]string{
			`ctkeeper_drift_total{by="",cause="write",setting="max"} 1`,
			`ctkeeper_repair_duration_seconds_count 1`,
			`ctkeeper_repairs_total{result="repaired",setting="max"} 1`,
		}},
	{"refused, refused for another reason, then repaired",
		[]reconcile.Event{failed("EINVAL"), failed("ENOMEM"), repaired}, []string{
			`ctkeeper_drift_total{by="",cause="write",setting="max"} 1`,
			`ctkeeper_repair_duration_seconds_count 1`,
			`ctkeeper_repairs_total{result="failed",setting="max"} 2`,
			`ctkeeper_repairs_total{result="repaired",setting="max"} 1`,
		}},
	{"observed again after it was in sync", []reconcile.Event{observed, observed}, []string{
		`ctkeeper_drift_total{by="",cause="resync",setting="max"} 2`,
		`ctkeeper_repairs_total{result="observed",setting="max"} 2`,
	}},
	{"several forbidden", []reconcile.Event{{Kind: reconcile.KindForbidden, Settings: []string{"max", "hashsize"},
		Result: reconcile.ResultFailed}}, []string{
		`ctkeeper_repairs_total{result="failed",setting="hashsize"} 1`,
		`ctkeeper_repairs_total{result="failed",setting="max"} 1`,
	}},
	{"an unreadable setting is not a repair", []reconcile.Event{{Kind: reconcile.KindForbidden, Setting: "max",
		Want: sysfs.Number(1), Found: sysfs.Value{}, Result: reconcile.ResultFailed}}, []string{}},
	{"a module load is not a drift", []reconcile.Event{{Kind: reconcile.KindModuleLoad}}, []string{}},
	{"unknown cause and result", []reconcile.Event{drift("max", "5", "moon", "maybe", 0)}, []string{
		`ctkeeper_drift_total{by="",cause="other",setting="max"} 1`,
		`ctkeeper_repairs_total{result="other",setting="max"} 1`,
	}},
	{
		"not configured",
		[]reconcile.Event{drift("acct", "1", reconcile.CauseWrite, reconcile.ResultRepaired, 1)},
		[]string{
			`ctkeeper_repair_duration_seconds_count 1`,
		},
	},
}

func TestRecord(t *testing.T) {
	for _, test := range recordTests {
		t.Run(test.name, func(t *testing.T) {
			m := New("1", busy)
			for _, e := range test.events {
				m.Record(e)
			}
			got := nonzero(series(exposition(t, m), driftTotal, repairsTotal, repairDuration+"_count"))
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("series (-want +got):\n%s", diff)
			}
		})
	}
}

// The series of a setting are deleted when it leaves the configuration, and start at 0 when it returns.
func TestSettingRemovedAndAdded(t *testing.T) {
	now := busy()
	m := New("1", func() Now { return now })
	m.Record(drift("max", "5", reconcile.CauseWrite, "", 0))
	names := []string{settingWant, settingLive, settingInSync, driftTotal, repairsTotal}
	if got := len(series(exposition(t, m), names...)); got != 5+3+4+6*(5+3) {
		t.Errorf("%d series of 6 settings", got)
	}
	now.Settings = nil
	if got := series(exposition(t, m), names...); len(got) > 0 {
		t.Errorf("series without a setting: %q", got)
	}
	now.Settings = busy().Settings[1:2]
	if diff := cmp.Diff([]string{}, nonzero(series(exposition(t, m), driftTotal))); diff != "" {
		t.Errorf("drifts of a setting that returned (-want +got):\n%s", diff)
	}
	m.Record(drift("max", "5", reconcile.CauseWrite, reconcile.ResultRepaired, 1))
	if diff := cmp.Diff([]string{`ctkeeper_drift_total{by="",cause="write",setting="max"} 1`},
		nonzero(series(exposition(t, m), driftTotal))); diff != "" {
		t.Errorf("its first drift (-want +got):\n%s", diff)
	}
}

func TestConcurrentUse(t *testing.T) {
	m := New("1", busy)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 50 {
				m.Record(drift("max", "5", reconcile.CauseWrite, reconcile.ResultRepaired, time.Millisecond))
				m.RecordPass("write", time.Millisecond)
				m.RecordOverflow("write")
				m.RecordKernelMessage(TableFull)
			}
		})
		all.Go(func() {
			for range 10 {
				m.Handler().ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/metrics", nil))
			}
		})
	}
	all.Wait()
	want := []string{
		`ctkeeper_drift_total{by="",cause="write",setting="max"} 200`,
		`ctkeeper_event_overflows_total{source="write"} 200`,
		`ctkeeper_events_total{source="write"} 200`, `ctkeeper_kernel_messages_total{kind="table-full"} 200`,
		`ctkeeper_pass_duration_seconds_count 200`, `ctkeeper_repairs_total{result="repaired",setting="max"} 200`,
	}
	got := nonzero(series(exposition(t, m), driftTotal, repairsTotal, eventsTotal, eventOverflowsTotal,
		kernelMessagesTotal, passDuration+"_count"))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("counters (-want +got):\n%s", diff)
	}
}

func FuzzRecord(f *testing.F) {
	f.Add("max", "5", "write", "repaired", "drift", "sip")
	f.Add("a\nb\"\\", "\xff", "\xfe", "x\n# EOF", "forbidden", "\x00")
	f.Add("max", "run-u1.service", "write", "", "refused-write", "sh")
	f.Add("a,b\xff,", "", "resync", "", "contested", "\xff")
	f.Fuzz(func(t *testing.T, name, found, cause, result, kind, helper string) {
		now := busy()
		now.Settings = append(now.Settings, setting(name, found, sysfs.Exactly, found, reconcile.State(kind)))
		now.ByHelper = maps.Clone(now.ByHelper)
		now.ByHelper[helper] += 3
		now.Table.Counters = map[string]uint64{helper: 1, name: 2, found: 3}
		m := New(kind, func() Now { return now })
		for _, want := range []string{"", found} {
			m.Record(reconcile.Event{Kind: reconcile.Kind(kind), Setting: name, Want: value(want),
				Found: value(found), Cause: reconcile.Cause(cause), Result: reconcile.Result(result),
				By: &sysfs.Writer{Comm: helper, Unit: found, Container: want}})
		}
		m.RecordPass(cause, -1)
		m.RecordOverflow(result)
		m.RecordKernelMessage(helper)
		if problems, err := testutil.GatherAndLint(m.own); err != nil || len(problems) > 0 {
			t.Errorf("%v %v", problems, err)
		}
		_ = exposition(t, m)
	})
}

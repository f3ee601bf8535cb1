package table_test

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/table"
)

// step is one sample of a script. A figure of -1 cannot be read.
type step struct {
	after                 time.Duration // since the step before; 5 s when 0
	entries, limit        int64
	drop, early           uint64 // the counters
	expectations, expects int64
	noCounters            bool
}

// start is the time before the first step of a script.
var start = time.Unix(1_700_000_000, 0)

// script takes the samples of the steps. It returns what was reported, each with the index of the step.
func script(t *testing.T, m *table.Monitor, steps []step) []string {
	t.Helper()
	var reported []string
	at := start
	for i, s := range steps {
		if s.after == 0 {
			s.after = 5 * time.Second
		}
		at = at.Add(s.after)
		for _, p := range m.Add(s.sample(at)) {
			if !p.At.Equal(at) {
				t.Errorf("pressure %+v at step %d", p, i)
			}
			words := strings.TrimSpace(string(p.Now.Level) + " " + string(p.Now.Loss))
			reported = append(reported, fmt.Sprintf("%d %s: %s", i, words, status.PressureMessage(p)))
		}
	}
	return reported
}

func (s step) sample(at time.Time) table.Sample {
	figure := func(n int64) *int64 {
		if n == -1 {
			return nil
		}
		return &n
	}
	sample := table.Sample{At: at, Figures: table.Figures{
		Entries: figure(s.entries), Max: figure(s.limit), Expectations: figure(s.expectations),
		ExpectMax: figure(s.expects),
	}}
	if !s.noCounters {
		sample.Counters = map[string]uint64{"entries": uint64(max(0, s.entries)), "drop": s.drop,
			"early_drop": s.early, "insert_failed": s.drop}
	}
	return sample
}

// of returns a step with a limit of 1000 connections, and no expectation.
func of(entries int64, drop, early uint64) step {
	return step{entries: entries, limit: 1000, drop: drop, early: early, expects: 100}
}

func expecting(n int64) step { return step{limit: 1000, expectations: n, expects: 1000} }

func gone() step {
	return step{entries: -1, limit: -1, expectations: -1, expects: -1, noCounters: true}
}

// monitorTests are the events of a monitor, each with the index of the sample that causes it.
var monitorTests = []struct {
	name  string
	steps []step
	want  []string
}{
	{"normal", []step{of(0, 0, 0), of(799, 0, 0), of(0, 0, 0)}, nil},
	{
		"each level once, ended 5 points below", []step{
			of(790, 0, 0), of(800, 0, 0), of(790, 0, 0), of(810, 0, 0), of(751, 0, 0), of(950, 0, 0),
			of(940, 0, 0), of(960, 0, 0),
			of(901, 0, 0), of(900, 0, 0), of(950, 0, 0), of(750, 0, 0), of(790, 0, 0),
		},
		[]string{
			"1 high: the connection table is 80 % full: 800 of 1000 entries",
			"5 critical: the connection table is 95 % full: 950 of 1000 entries",
			"9 high: the connection table is 90 % full: 900 of 1000 entries",
			"10 critical: the connection table is 95 % full: 950 of 1000 entries",
			"11 normal: the connection table is back to normal: 750 of 1000 entries",
		},
	},
	{
		"high from the beginning", []step{of(833, 7, 7)},
		[]string{"0 high: the connection table is 83 % full: 833 of 1000 entries"},
	},
	{
		"full, with drops, and over", []step{
			of(500, 0, 0), of(1000, 0, 0), of(1000, 120, 0), of(1000, 5000, 0), of(1000, 5000, 1), of(312, 5120, 1),
			{after: 29 * time.Second, entries: 312, limit: 1000, drop: 5120, early: 1, expects: 100},
			{after: time.Second, entries: 312, limit: 1000, drop: 5120, early: 1, expects: 100}, of(312, 5120, 1),
		},
		[]string{
			"1 critical: the connection table is full: 1000 of 1000 entries",
			"2 critical dropping: the kernel drops new connections, 120 packets in the last 5 s; " +
				"the connection table is full: 1000 of 1000 entries",
			"7 normal: the connection table is back to normal: 312 of 1000 entries; " +
				"meanwhile 5120 packets of new connections dropped, 1 connection evicted",
		},
	},
	{
		"evictions, then drops, then neither", []step{
			of(1000, 0, 0), of(999, 0, 12), of(999, 0, 14), of(999, 1, 14), of(999, 1, 14),
			{after: time.Minute, entries: 980, limit: 1000, drop: 1, early: 14, expects: 100}, of(500, 1, 14),
			of(1000, 1, 14), of(10, 1, 14),
		},
		[]string{
			"0 critical: the connection table is full: 1000 of 1000 entries",
			"1 critical evicting: the kernel evicts connections without a reply for new ones, 12 connections in the " +
				"last 5 s; the connection table is 99 % full: 999 of 1000 entries",
			"3 critical dropping: the kernel drops new connections, 1 packet in the last 5 s; " +
				"the connection table is 99 % full: 999 of 1000 entries",
			"5 critical: the connection table is 98 % full: 980 of 1000 entries; " +
				"nothing was lost for 30 s; meanwhile 1 packet of new connections dropped, 14 connections evicted",
			"6 normal: the connection table is back to normal: 500 of 1000 entries; " +
				"meanwhile 1 packet of new connections dropped, 14 connections evicted",
			"7 critical: the connection table is full: 1000 of 1000 entries",
			"8 normal: the connection table is back to normal: 10 of 1000 entries",
		},
	},
	{
		"everything at once", []step{of(0, 0, 0), of(1000, 9, 0)},
		[]string{"1 critical dropping: the kernel drops new connections, 9 packets in the last 5 s; " +
			"the connection table is full: 1000 of 1000 entries"},
	},
	{
		"during drops only a worse level is reported", []step{
			of(810, 0, 0), of(810, 5, 0), of(960, 6, 0), of(810, 7, 0), of(960, 8, 0), of(960, 8, 0),
			{after: 30 * time.Second, entries: 810, limit: 1000, drop: 8, expects: 100},
		},
		[]string{
			"0 high: the connection table is 81 % full: 810 of 1000 entries",
			"1 high dropping: the kernel drops new connections, 5 packets in the last 5 s; " +
				"the connection table is 81 % full: 810 of 1000 entries",
			"2 critical dropping: the connection table is 96 % full: 960 of 1000 entries",
			"6 high: the connection table is 81 % full: 810 of 1000 entries; " +
				"nothing was lost for 30 s; meanwhile 8 packets of new connections dropped",
		},
	},
	{"lost races in a table that is not full", []step{of(100, 0, 0), of(100, 50, 0), of(799, 90, 0)}, nil},
	{
		"drops before a sample, of a table that was nearly full", []step{of(801, 0, 0), of(300, 90, 0)},
		[]string{
			"0 high: the connection table is 80 % full: 801 of 1000 entries",
			"1 normal dropping: the kernel drops new connections, 90 packets in the last 5 s; " +
				"the connection table is 30 % full: 300 of 1000 entries",
		},
	},
	{
		"the counters start again", []step{of(990, 500, 500), of(990, 3, 3), of(990, 4, 3)},
		[]string{
			"0 critical: the connection table is 99 % full: 990 of 1000 entries",
			"2 critical dropping: the kernel drops new connections, 1 packet in the last 5 s; " +
				"the connection table is 99 % full: 990 of 1000 entries",
		},
	},
	{
		"the module is unloaded and loaded", []step{of(990, 5, 5), gone(), gone(), of(990, 9, 9)},
		[]string{
			"0 critical: the connection table is 99 % full: 990 of 1000 entries",
			"1 normal: the connection table is gone: nf_conntrack was unloaded",
			"3 critical: the connection table is 99 % full: 990 of 1000 entries",
		},
	},
	{"the module is absent", []step{gone(), gone(), of(0, 9, 9), gone()}, nil},
	{
		"counters missed once", []step{of(990, 5, 5), {entries: 990, limit: 1000, noCounters: true}, of(990, 6, 5)},
		[]string{
			"0 critical: the connection table is 99 % full: 990 of 1000 entries",
			"2 critical dropping: the kernel drops new connections, 1 packet in the last 5 s; " +
				"the connection table is 99 % full: 990 of 1000 entries",
		},
	},
	{
		"the limit is raised, lowered, and removed", []step{
			of(833, 0, 0), {entries: 833, limit: 4000}, {entries: 833, limit: 500}, {entries: 833, limit: 0},
			{entries: 833, limit: -1},
		},
		[]string{
			"0 high: the connection table is 83 % full: 833 of 1000 entries",
			"1 normal: the connection table is back to normal: 833 of 4000 entries",
			"2 critical: the connection table is full: 833 of 500 entries",
			"3 normal: the connection table is back to normal: 833 entries, no limit",
		},
	},
	{
		"expectations", []step{
			expecting(0), expecting(850), expecting(1000), expecting(999), expecting(1000), expecting(960),
			{after: 30 * time.Second, limit: 1000, expectations: 960, expects: 1000}, expecting(1000), expecting(0),
			{after: 30 * time.Second, limit: 1000, expectations: 0, expects: 1000},
		},
		[]string{
			"1 high: the expectation table is 85 % full: 850 of 1000 entries",
			"2 critical refusing: the kernel refuses new expectations of helpers, and their calls and transfers " +
				"fail; the expectation table is full: 1000 of 1000 entries",
			"6 critical: the expectation table is 96 % full: 960 of 1000 entries; nothing was lost for 30 s",
			"7 critical refusing: the kernel refuses new expectations of helpers, and their calls and transfers " +
				"fail; the expectation table is full: 1000 of 1000 entries",
			"9 normal: the expectation table is back to normal: 0 of 1000 entries",
		},
	},
	{
		"expectations that are sometimes unreadable, then always", []step{
			expecting(850), expecting(-1), expecting(-1), expecting(860), expecting(-1),
			{after: time.Minute, limit: 1000, expectations: -1, expects: 1000}, expecting(-1),
		},
		[]string{
			"0 high: the expectation table is 85 % full: 850 of 1000 entries",
			"5 normal: the expectation table cannot be read any more",
		},
	},
	{
		"the clock is set back", []step{
			of(1000, 0, 0), of(1000, 5, 0), {after: -time.Hour, entries: 1000, limit: 1000, drop: 6}, of(10, 6, 0),
			{after: 30 * time.Second, entries: 10, limit: 1000, drop: 6},
		},
		[]string{
			"0 critical: the connection table is full: 1000 of 1000 entries",
			"1 critical dropping: the kernel drops new connections, 5 packets in the last 5 s; " +
				"the connection table is full: 1000 of 1000 entries",
			"4 normal: the connection table is back to normal: 10 of 1000 entries; " +
				"meanwhile 6 packets of new connections dropped",
		},
	},
	{
		"figures that no kernel has", []step{{entries: math.MaxInt64, limit: math.MaxInt64},
			{entries: math.MinInt64, limit: 1}},
		[]string{
			"0 critical: the connection table is full: 9223372036854775807 of 9223372036854775807 entries",
			"1 normal: the connection table is back to normal: -9223372036854775808 of 1 entries",
		},
	},
}

func TestMonitor(t *testing.T) {
	for _, test := range monitorTests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, script(t, table.NewMonitor(10), test.steps)); diff != "" {
				t.Errorf("reported (-want +got):\n%s", diff)
			}
		})
	}
}

func TestState(t *testing.T) {
	m := table.NewMonitor(3)
	first := table.Sample{At: start}
	none := table.State{
		Conditions: map[string]table.Condition{}, Rates: map[string]float64{}, Grown: map[string]uint64{},
	}
	if diff := cmp.Diff(none, m.State(first)); diff != "" {
		t.Errorf("without a sample (-want +got):\n%s", diff)
	}
	script(t, m, []step{of(900, 0, 0), of(1000, 50, 10)})
	now := step{entries: 900, limit: 1000, drop: 60, early: 30, expectations: -1, expects: 1000}
	want := table.State{
		Conditions: map[string]table.Condition{table.Connections: {
			Level: table.High, Loss: table.Dropping, Since: start.Add(5 * time.Second),
		}},
		Rates:        map[string]float64{"entries": 20, "drop": 10, "early_drop": 2, "insert_failed": 10},
		Grown:        map[string]uint64{"drop": 60, "early_drop": 30, "insert_failed": 60},
		GrownSeconds: 8,
	}
	if diff := cmp.Diff(want, m.State(now.sample(start.Add(13*time.Second)))); diff != "" {
		t.Errorf("read 3 s after the last look (-want +got):\n%s", diff)
	}
	now.entries = 700
	if c := m.State(now.sample(start.Add(13 * time.Second))).Conditions[table.Connections]; c.Loss != table.NoLoss {
		t.Errorf("with room again: %+v", c)
	}
	// The first look without a loss ends it.
	script(t, m, []step{{after: 15 * time.Second, entries: 700, limit: 1000, drop: 60, early: 30, expects: 1000}})
	script(t, m, []step{{after: 20 * time.Second, entries: 700, limit: 1000, drop: 60, early: 30, expects: 1000}})
	calm := step{entries: 700, limit: 1000, drop: 60, early: 30, expects: 1000}
	state := m.State(calm.sample(start.Add(20 * time.Second)))
	c := state.Conditions[table.Connections]
	if c != (table.Condition{Level: table.Normal}) || state.Grown["drop"] != 0 {
		t.Errorf("after a look without a loss: %+v", state)
	}
	script(t, m, []step{{after: 2 * time.Minute, entries: 700, limit: 1000, drop: 1, expects: 1000}})
	if rates := m.State(calm.sample(start.Add(3 * time.Minute))).Rates; len(rates) > 0 {
		t.Errorf("rates after a reload: %v", rates)
	}
	script(t, m, []step{gone()})
	if s := m.State(gone().sample(start.Add(time.Hour))); len(s.Conditions)+len(s.Rates)+len(s.Grown) > 0 {
		t.Errorf("without the module: %+v", s)
	}
}

// A level is that of the sample, without hysteresis: a table at 58 % is never shown as over 80 %.
func TestLevelIsOfTheSample(t *testing.T) {
	m := table.NewMonitor(1)
	script(t, m, []step{of(1000, 0, 0)})
	for entries, want := range map[int64]table.Level{
		0: table.Normal, 589: table.Normal, 799: table.Normal, 800: table.High, 949: table.High, 950: table.Critical,
		996: table.Critical, 1000: table.Critical,
	} {
		got := m.State(of(entries, 0, 0).sample(start.Add(6 * time.Second))).Conditions[table.Connections]
		if got.Level != want || got.Since.IsZero() != (want == table.Normal) {
			t.Errorf("%d of 1000: %+v, want %s", entries, got, want)
		}
	}
}

func TestPoints(t *testing.T) {
	m := table.NewMonitor(3)
	if got := m.Points(time.Time{}); got == nil || len(got) > 0 {
		t.Errorf("points without a sample: %v", got)
	}
	script(t, m, []step{of(1, 0, 0), of(2, 1, 0), gone(), of(4, 3, 0),
		{entries: 5, limit: -2, drop: 3, early: 4, expectations: 6, expects: 7}})
	const start = 1_700_000_000
	want := []table.Point{{At: start + 15}, {At: start + 20, Entries: 4, Max: 1000, ExpectMax: 100},
		{At: start + 25, Entries: 5, Expectations: 6, ExpectMax: 7, Losses: table.Losses{Evicted: 4}}}
	if diff := cmp.Diff(want, m.Points(time.Time{})); diff != "" {
		t.Errorf("points (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want[2:], m.Points(time.Unix(start+20, 999))); diff != "" {
		t.Errorf("points after a moment (-want +got):\n%s", diff)
	}
	none := table.NewMonitor(-1)
	script(t, none, []step{of(1, 0, 0), of(2, 0, 0)})
	if got := none.Points(time.Time{}); len(got) != 1 || got[0].Entries != 2 {
		t.Errorf("the smallest ring has %v", got)
	}
}

func TestMonitorConcurrentUse(t *testing.T) {
	m := table.NewMonitor(10)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := range 100 {
				m.Add(of(int64(i*10), uint64(i), 0).sample(time.Unix(1_700_000_000+int64(i), 0)))
				m.State(of(1, 0, 0).sample(start))
				m.Points(time.Time{})
			}
		})
	}
	all.Wait()
	if len(m.Points(time.Time{})) != 10 {
		t.Errorf("points %v", m.Points(time.Time{}))
	}
}

// isWorse reports whether a condition is one that a report, which may last longer, does not have.
func isWorse(now, reported table.Condition) bool {
	levels := []table.Level{table.Normal, table.High, table.Critical}
	return slices.Index(levels, now.Level) > slices.Index(levels, reported.Level) ||
		now.Loss != table.NoLoss && reported.Loss == table.NoLoss
}

// FuzzMonitor: no change is reported twice in a row, the state is never worse than a report, and an empty table ends
// normal.
func FuzzMonitor(f *testing.F) {
	f.Add([]byte("\x00\xff\x80\x90\xf0\xff\xff\x10\x20\x00"))
	f.Add([]byte{200, 1, 250, 2, 255, 255, 0, 255, 250, 9})
	f.Fuzz(func(t *testing.T, data []byte) {
		m := table.NewMonitor(5)
		at := time.Unix(1_700_000_000, 0)
		last := map[string]string{}
		latest := map[string]table.Pressure{}
		digits := regexp.MustCompile(`[\d]+( s| min)?`)
		take := func(s step) {
			at = at.Add(5 * time.Second)
			for _, p := range m.Add(s.sample(at)) {
				message := status.PressureMessage(p)
				bare := string(p.Now.Level) + digits.ReplaceAllString(message, "")
				if last[p.Table] == bare {
					t.Errorf("reported twice: %q", message)
				}
				last[p.Table], latest[p.Table] = bare, p
				now, isKnown := m.State(s.sample(at)).Conditions[p.Table]
				if isKnown && isWorse(now, p.Now) {
					t.Errorf("reported %+v, state %+v", p, now)
				}
			}
		}
		var drop, early uint64
		for i := 0; i+1 < len(data); i += 2 {
			n := int64(data[i])
			drop += uint64(data[i+1] & 1)
			early += uint64(data[i+1] >> 1 & 1)
			s := step{entries: n, limit: 255, drop: drop, early: early, expectations: 255 - n, expects: 255}
			switch data[i+1] >> 2 {
			case 1:
				s = gone()
			case 2:
				drop = 0
			case 3:
				s.limit = 0
			case 4:
				s.expectations = -1
			}
			take(s)
		}
		for range 8 {
			take(step{limit: 255, drop: drop, early: early, expects: 255})
		}
		for name, p := range latest {
			if p.Now.Level != table.Normal || p.Now.Loss != table.NoLoss {
				t.Errorf("the last of the %s: %+v", name, p)
			}
		}
	})
}

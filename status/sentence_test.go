package status

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/host/capability"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/table"
)

func number(n int64) *int64 { return &n }

func TestFill(t *testing.T) {
	for _, test := range []struct {
		used, limit *int64
		want        string
	}{
		{number(833), number(1000), "833 of 1000 entries (83 %)"},
		{number(1 << 31), number(1<<31 + 1), "2147483648 of 2147483649 entries (99 %)"},
		{number(5), number(5), "5 of 5 entries (100 %)"},
		{number(5), number(0), "5 entries, no limit"},
		{nil, number(5), "? of 5 entries"},
		{number(5), nil, "5 of ? entries"},
	} {
		if got := Fill("entries", test.used, test.limit); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}

func TestForecast(t *testing.T) {
	s := Table{State: table.State{Conditions: map[string]table.Condition{table.Connections: {FullInSeconds: 372}}}}
	if got := s.Forecast(table.Connections); got != "full in about 6 min" {
		t.Errorf("%q", got)
	}
	if got := s.Forecast(table.Expectations); got != "" {
		t.Errorf("%q without a forecast", got)
	}
}

func TestLossesSince(t *testing.T) {
	tests := []struct {
		name       string
		older, now map[string]uint64
		want       *table.Losses
	}{
		{"first document", nil, map[string]uint64{"drop": 7}, nil},
		{"unreadable", map[string]uint64{"drop": 7}, nil, nil},
		{"none", map[string]uint64{"drop": 7, "found": 1}, map[string]uint64{"drop": 7, "found": 9}, &table.Losses{}},
		{
			"each", map[string]uint64{"drop": 1, "early_drop": 1, "insert_failed": 1, "chainlength": 1},
			map[string]uint64{"drop": 2, "early_drop": 3, "insert_failed": 5, "chainlength": 9},
			&table.Losses{Dropped: 1, Evicted: 2, LostRaces: 4, Refused: 8},
		},
		{"module loaded again", map[string]uint64{"drop": 1000}, map[string]uint64{"drop": 4}, &table.Losses{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := Table{Counters: test.now}.LossesSince(Table{Counters: test.older})
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("losses (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoadsSeen(t *testing.T) {
	for loads, want := range map[int]string{0: "", 1: "loaded once since", 3: "loaded 3 times since"} {
		if got := (Module{Loads: loads}).LoadsSeen(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestGuardActivity(t *testing.T) {
	for _, test := range []struct {
		mode    string
		state   GuardState
		daemon  reconcile.Mode
		running bool
		want    string
	}{
		{"watch", GuardWatching, reconcile.Enforce, true, "watching"},
		{"lock", GuardWatching, reconcile.Observe, true, "watching, blocks nothing in mode observe"},
		{"lock", GuardWatching, reconcile.Enforce, true, "watching, blocks nothing"},
		{"hold", GuardWatching, reconcile.Observe, true, "watching, blocks nothing in mode observe"},
		{"hold", GuardHolding, reconcile.Enforce, true, "holding"},
		{"lock", GuardLocked, reconcile.Enforce, true, "locked"},
		{"lock", GuardUnavailable, reconcile.Enforce, true, "unavailable"},
		{"lock", GuardOff, reconcile.Enforce, false, "lock is configured; only a running daemon runs it"},
		{"watch", GuardOff, reconcile.Enforce, true, "watch is configured but not in effect"},
	} {
		d := Document{
			Daemon: Daemon{Running: test.running, Mode: test.daemon}, Guard: Guard{Mode: test.mode, State: test.state},
		}
		if got := d.GuardActivity(); got != test.want {
			t.Errorf("%s, %s: %q, want %q", test.mode, test.state, got, test.want)
		}
	}
}

func TestBlocking(t *testing.T) {
	older, newer := BlockedWrites{Setting: "max", Count: 2}, BlockedWrites{Setting: "hashsize", Count: 1}
	older.Last.At, newer.Last.At = time.Unix(1, 0), time.Unix(2, 0)
	g := Guard{Locked: []string{"max"}, Held: []string{"hashsize"}, Absorbed: []BlockedWrites{newer, older}}
	for state, want := range map[GuardState]Blocking{
		GuardLocked:   {"refuse", "refused", g.Locked, nil},
		GuardHolding:  {"absorb", "absorbed", g.Held, g.Absorbed},
		GuardWatching: {}, GuardUnavailable: {},
	} {
		g.State = state
		got, ok := g.Blocking()
		if diff := cmp.Diff(want, got); diff != "" || ok != (want.Verb != "") {
			t.Errorf("%s: %t (-want +got):\n%s", state, ok, diff)
		}
		count, last := got.Count()
		wantCount := map[GuardState]int{GuardHolding: 3}[state]
		if count != wantCount || count > 0 && last.Setting != "hashsize" {
			t.Errorf("%s: %d blocked, the last to %s", state, count, last.Setting)
		}
	}
}

func TestMergeMissing(t *testing.T) {
	g := Guard{Missing: []capability.Missing{
		{What: "a", Why: "no BTF", Hint: "h"}, {What: "b", Why: "old"}, {What: "c", Why: "no BTF", Hint: "h"},
		{What: "d", Why: "no BTF"},
	}}
	want := []capability.Missing{
		{What: "a, c", Why: "no BTF", Hint: "h"}, {What: "b", Why: "old"}, {What: "d", Why: "no BTF"},
	}
	if diff := cmp.Diff(want, g.MergeMissing()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Every document has "api": 1, and one with another number can be read.
func TestAPI(t *testing.T) {
	text, err := API{}.MarshalJSON()
	if err != nil || string(text) != "1" {
		t.Errorf("%s, %v", text, err)
	}
	if err := new(API).UnmarshalJSON([]byte("2")); err != nil {
		t.Error(err)
	}
}

func TestUnit(t *testing.T) {
	for setting, want := range map[string]string{
		"max": "connections", "hashsize": "buckets", "expect_max": "expectations", "udp_timeout": "s",
		"frag6_high_thresh": "bytes", "tcp_be_liberal": "", "log_invalid": "", "net.netfilter.nf_new": "", "\n": "",
	} {
		if got := Unit(setting); got != want {
			t.Errorf("the unit of %q is %q, want %q", setting, got, want)
		}
	}
}

package status

import (
	"testing"

	"github.com/ctkeeper/ctkeeper/reconcile"
)

func TestIsGuardInEffect(t *testing.T) {
	for _, test := range []struct {
		mode     string
		state    GuardState
		observes bool
		want     bool
	}{
		{"", "", false, true},
		{"off", GuardOff, false, true},
		{"watch", GuardWatching, false, true},
		{"watch", GuardUnavailable, false, false},
		{"watch", GuardOff, false, false},
		{"hold", GuardHolding, false, true},
		{"hold", GuardWatching, false, false}, // kernel.sysctl_writes_strict is not 1
		{"hold", GuardWatching, true, true},
		{"hold", GuardUnavailable, true, false},
		{"lock", GuardLocked, false, true},
		{"lock", GuardWatching, false, false},
		{"later", GuardWatching, false, false},
	} {
		d := Document{Guard: Guard{Mode: test.mode, State: test.state}, Daemon: Daemon{Mode: reconcile.Enforce}}
		if test.observes {
			d.Daemon.Mode = reconcile.Observe
		}
		if got := d.IsGuardInEffect(); got != test.want {
			t.Errorf("%s, %s, observes %t: %t", test.mode, test.state, test.observes, got)
		}
	}
}

// A guard that does not do what is configured is a problem, as it is an alert; without a daemon that is the problem.
func TestGuardProblem(t *testing.T) {
	for _, test := range []struct {
		mode  string
		state GuardState
		want  string
	}{
		{"off", GuardOff, ""},
		{"hold", GuardHolding, ""},
		{"hold", GuardWatching, "The guard is watching, blocks nothing"},
		{"watch", GuardUnavailable, "The guard is not available: no BPF"},
		{"watch", GuardOff, "guard: watch is configured but not in effect"},
	} {
		d := Document{Guard: Guard{Mode: test.mode, State: test.state, Error: "no BPF"}}
		d.Daemon.Running, d.Daemon.Mode, d.Daemon.Config.OK = true, reconcile.Enforce, true
		d.Judge()
		if (len(d.Problems) > 0) != (test.want != "") || test.want != "" && d.Headline != test.want {
			t.Errorf("%s, %s: %s", test.mode, test.state, d.Headline)
		}
		d.Daemon.Running = false
		if d.Judge(); len(d.Problems) != 1 || d.Problems[0].About[0] != AboutDaemon {
			t.Errorf("%s, %s: without a daemon %v", test.mode, test.state, d.Problems)
		}
	}
}

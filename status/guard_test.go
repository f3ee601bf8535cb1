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

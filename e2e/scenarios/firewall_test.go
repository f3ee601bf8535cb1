//go:build guest

package scenarios

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

const restarts = 20

// TestFirewallRestart is the second field report: an init script that unloads
// conntrack and all that depends on it, and loads it again, over and over.
func TestFirewallRestart(t *testing.T) {
	since := keep(t, usual)
	firewall := filepath.Join(os.Getenv("CTKEEPER_E2E_DIR"), "firewall")
	run(t, firewall, "start")
	inForce(t, prompt, usualValues)
	worst := time.Duration(0)
	for range restarts {
		run(t, firewall, "stop")
		if loaded() {
			t.Fatal("the firewall's stop left the module loaded: the daemon pins it")
		}
		run(t, firewall, "start")
		worst = max(worst, inForce(t, prompt, usualValues))
	}
	t.Logf("in force at most %s after the firewall's start returned", worst)
	eventually(t, prompt, "20 unloads in the journal", func() bool {
		return len(since.events(t, "module-unload")) == restarts
	})
	if n := len(since.events(t, "module-load")); n != restarts+1 {
		t.Errorf("%d module-load entries for %d loads", n, restarts+1)
	}
	if n := len(since.events(t, "contested")); n != 0 {
		t.Errorf("a firewall restart is no contest, yet: %d contested", n)
	}
}

//go:build guest

package scenarios

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

const restarts = 20

// TestFirewallRestart: the init script of a firewall unloads conntrack and all that depends on it, and loads it
// again, many times.
func TestFirewallRestart(t *testing.T) {
	since := startDaemon(t, usual)
	firewall := filepath.Join(os.Getenv("CTKEEPER_E2E_DIR"), "firewall")
	run(t, firewall, "start")
	waitApplied(t, prompt, usualValues)
	worst := time.Duration(0)
	for range restarts {
		run(t, firewall, "stop")
		if isLoaded() {
			t.Fatal("the firewall's stop left the module loaded: the daemon pins it")
		}
		run(t, firewall, "start")
		worst = max(worst, waitApplied(t, prompt, usualValues))
	}
	t.Logf("applied at most %s after the firewall's start returned", worst)
	eventually(t, prompt, "20 unloads in the journal", func() bool {
		return len(since.events(t, "module-unload")) == restarts
	})
	if n := len(since.events(t, "module-load")); n != restarts+1 {
		t.Errorf("%d module-load entries for %d loads", n, restarts+1)
	}
	if n := len(since.events(t, "contested")); n != 0 {
		t.Errorf("%d entries of contested, want none for a firewall restart", n)
	}
}

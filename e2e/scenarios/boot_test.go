//go:build guest

package scenarios

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// bootValues are the values of the configuration at boot. It is part of the overlay, because no scenario can write it
// before the boot.
var bootValues = map[string]string{
	"max": "200000", "buckets": "100352", "expect_max": "8192", "tcp_timeout_established": "7200",
}

// bootTime is how long the unit may take to start while the rest of the system starts too.
const bootTime = 30 * time.Second

// TestBoot runs first: it tests the state after the boot. A sysctl.d file that is read before the module is loaded,
// and therefore has no effect, is part of it.
func TestBoot(t *testing.T) {
	var since cursor
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(run(t, "journalctl", "--no-pager", "-b", "-u", unit, "-n", "60"))
		}
		resetHost(t)
	})
	if isLoaded() {
		t.Error("something loaded nf_conntrack at boot")
	}
	eventually(t, bootTime, "the unit is active", func() bool { return property(t, "ActiveState") == "active" })
	if text := property(t, "StatusText"); !strings.Contains(text, "waiting for nf_conntrack") {
		t.Errorf("STATUS is %q", text)
	}
	if restarts := property(t, "NRestarts"); restarts != "0" {
		t.Errorf("%s restarts since boot", restarts)
	}
	if failed := run(t, "systemctl", "--failed", "--no-legend", "--plain"); strings.TrimSpace(failed) != "" {
		t.Errorf("failed units after boot:\n%s", failed)
	}
	early := run(t, "journalctl", "-b", "--no-pager", "-t", "systemd-sysctl")
	if !strings.Contains(early, "Couldn't write '8192' to 'net/netfilter/nf_conntrack_expect_max'") {
		t.Errorf("systemd-sysctl did not run before the module was loaded, as this scenario assumes:\n%s", early)
	}
	since = journalEnd(t)
	run(t, "iptables", "-A", "INPUT", "-m", "conntrack", "--ctstate", "ESTABLISHED", "-j", "ACCEPT")
	if !isLoaded() {
		t.Fatal("iptables -m conntrack did not load the module")
	}
	t.Logf("applied %s after iptables returned", waitApplied(t, prompt, bootValues))
	since.wait(t, "module-load")
	eventually(t, prompt, "STATUS is no longer waiting", func() bool {
		return !strings.Contains(property(t, "StatusText"), "waiting")
	})
}

// TestBootOrder: firewalls and networks, which are ordered after network-pre.target, start when the values are
// applied.
func TestBootOrder(t *testing.T) {
	after := strings.Fields(property(t, "After"))
	before := strings.Fields(property(t, "Before"))
	for _, name := range []string{"systemd-sysctl.service", "systemd-modules-load.service"} {
		if !slices.Contains(after, name) {
			t.Errorf("not ordered after %s: %v", name, after)
		}
	}
	if !slices.Contains(before, "network-pre.target") {
		t.Errorf("not ordered before network-pre.target: %v", before)
	}
	out, code := try(t, "systemd-analyze", "verify", "--man=no", "/usr/lib/systemd/system/"+unit)
	if code != 0 || strings.Contains(out, unit) {
		t.Errorf("systemd-analyze verify: %d\n%s", code, out)
	}
	for _, e := range entries(t, "_PID=1") {
		if strings.Contains(e.get("MESSAGE"), "ordering cycle") {
			t.Errorf("at boot: %s", e.get("MESSAGE"))
		}
	}
	score, code := try(t, "systemd-analyze", "security", "--no-pager", "--offline=yes", "--threshold=15",
		"/usr/lib/systemd/system/"+unit)
	if code != 0 {
		t.Errorf("systemd-analyze security is above 1.5:\n%s", score)
	}
}

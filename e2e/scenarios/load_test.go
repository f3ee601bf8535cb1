//go:build guest

package scenarios

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestSysctlTooEarly: /etc/sysctl.d is read before the module is loaded, and has no effect.
func TestSysctlTooEarly(t *testing.T) {
	since := startDaemon(t, strings.Replace(usual, "4096", "8192", 1))
	writeFile(t, "/etc/sysctl.d/90-conntrack.conf", "net.netfilter.nf_conntrack_expect_max = 8192\n")
	_, _ = try(t, "systemctl", "restart", "systemd-sysctl.service")
	eventually(t, prompt, "systemd-sysctl ran before the module was loaded", func() bool {
		for _, e := range since.query(t, "-t", "systemd-sysctl") {
			if strings.Contains(e.get("MESSAGE"), "Couldn't write '8192'") {
				return true
			}
		}
		return false
	})
	if isLoaded() {
		t.Fatal("systemd-sysctl loaded the module")
	}
	run(t, "modprobe", "nf_conntrack")
	waitApplied(t, prompt, map[string]string{"expect_max": "8192", "max": "300000"})
}

// TestModprobeOptions: with a hashsize in modprobe.d, max begins at 8 × hashsize. One pass repairs everything.
func TestModprobeOptions(t *testing.T) {
	since := startDaemon(t, usual)
	writeFile(t, modprobeD, "options nf_conntrack hashsize=10000 expect_hashsize=2000\n")
	run(t, "modprobe", "nf_conntrack")
	waitApplied(t, prompt, usualValues)
	for name, found := range map[string]string{"max": "81920", "hashsize": "10240", "expect_max": "8000"} {
		since.wait(t, "drift", name)
		drifts := since.events(t, "drift", name)
		if len(drifts) != 1 {
			t.Errorf("%s: %d drifts, want 1", name, len(drifts))
		}
		e := drifts[0]
		got := []string{e.get("CTKEEPER_FOUND"), e.get("CTKEEPER_CAUSE"), e.get("CTKEEPER_RESULT")}
		if want := []string{found, "module-load", "repaired"}; !slices.Equal(got, want) {
			t.Errorf("%s: found, cause and result are %v, want %v", name, got, want)
		}
	}
}

// TestHundredLoads: the module is loaded and unloaded a hundred times. The daemon does not pin it, misses no load,
// and leaks no file.
func TestHundredLoads(t *testing.T) {
	const loads = 100
	startDaemon(t, usual)
	pid := mainPID(t)
	before := countOpenFiles(t, pid)
	worst := time.Duration(0)
	for range loads {
		run(t, "modprobe", "nf_conntrack")
		worst = max(worst, waitApplied(t, prompt, usualValues))
		run(t, "modprobe", "-r", "nf_conntrack")
	}
	t.Logf("applied at most %s after modprobe returned", worst)
	eventually(t, prompt, "status has an absent module and a hundred loads", func() bool {
		s, _ := document(t, "status")
		return s.Module.State == "absent" && s.Module.Loads == loads
	})
	if mainPID(t) != pid {
		t.Error("the daemon was restarted")
	}
	if after := countOpenFiles(t, pid); after > before+2 {
		t.Errorf("%d files open before, %d after", before, after)
	}
}

// TestHurriedLoads: loads and unloads without a pause, so that passes meet a module that is only partly loaded. In
// the end the values are applied, and nothing was reported as failed.
func TestHurriedLoads(t *testing.T) {
	since := startDaemon(t, usual)
	pid := mainPID(t)
	for range 50 {
		run(t, "modprobe", "nf_conntrack")
		run(t, "modprobe", "-r", "nf_conntrack")
	}
	run(t, "modprobe", "nf_conntrack")
	waitApplied(t, prompt, usualValues)
	if mainPID(t) != pid {
		t.Error("the daemon was restarted")
	}
	for _, kind := range []string{"failed", "forbidden", "contested"} {
		for _, e := range since.events(t, kind) {
			t.Errorf("%s: %s", kind, e.get("MESSAGE"))
		}
	}
}

func countOpenFiles(t *testing.T, pid int) int {
	t.Helper()
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

// loading is usual with module.load.
const loading = usual + `module:
  load: true
`

// TestModuleLoad: with module.load the unit's start loads the module.
func TestModuleLoad(t *testing.T) {
	startDaemon(t, loading)
	if !isLoaded() {
		t.Fatal("the unit with module.load has started, and the module is not loaded")
	}
	waitApplied(t, prompt, usualValues)
}

// TestModuleLoadRefused: modprobe.d can prevent the load. The journal has modprobe's error, and the unit is active
// all the same.
func TestModuleLoadRefused(t *testing.T) {
	for name, c := range map[string]struct{ line, reason string }{
		"blacklist": {"blacklist nf_conntrack\n", "blacklist"},
		"install":   {"install nf_conntrack /bin/false\n", "/bin/false"},
		"options":   {"options nf_conntrack hashsize=nonsense\n", "Invalid argument"},
	} {
		t.Run(name, func(t *testing.T) {
			since := cleanHost(t)
			writeFile(t, modprobeD, c.line)
			writeFile(t, mainFile, loading)
			run(t, "systemctl", "start", unit)
			if isLoaded() {
				t.Error("the module was loaded against modprobe.d")
			}
			if !isActive(t) {
				t.Error("the unit is not active")
			}
			text := ""
			for _, e := range since.unitEntries(t) {
				if m := e.get("MESSAGE"); strings.Contains(m, "modprobe") || strings.Contains(m, "nf_conntrack") {
					text += m + "\n"
				}
			}
			if !strings.Contains(text, c.reason) {
				t.Errorf("the journal does not have modprobe's reason (%q):\n%s", c.reason, text)
			}
		})
	}
}

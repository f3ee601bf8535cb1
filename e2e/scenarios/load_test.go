//go:build guest

package scenarios

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// TestSysctlTooEarly is the fourth field report: /etc/sysctl.d is read before
// the module is there, and helps nobody.
func TestSysctlTooEarly(t *testing.T) {
	since := keep(t, strings.Replace(usual, "4096", "8192", 1))
	put(t, "/etc/sysctl.d/90-conntrack.conf", "net.netfilter.nf_conntrack_expect_max = 8192\n")
	_, _ = try(t, "systemctl", "restart", "systemd-sysctl.service")
	eventually(t, prompt, "systemd-sysctl came too early", func() bool {
		for _, e := range since.query(t, "-t", "systemd-sysctl") {
			if strings.Contains(e.get("MESSAGE"), "Couldn't write '8192'") {
				return true
			}
		}
		return false
	})
	if loaded() {
		t.Fatal("systemd-sysctl loaded the module")
	}
	run(t, "modprobe", "nf_conntrack")
	inForce(t, prompt, map[string]string{"expect_max": "8192", "max": "300000"})
}

// TestModprobeOptions: options in modprobe.d make max come up at 8 × hashsize,
// and everything is right after one pass.
func TestModprobeOptions(t *testing.T) {
	since := keep(t, usual)
	put(t, modprobeD, "options nf_conntrack hashsize=10000 expect_hashsize=2000\n")
	run(t, "modprobe", "nf_conntrack")
	inForce(t, prompt, usualValues)
	for name, found := range map[string]string{"max": "81920", "hashsize": "10240", "expect_max": "8000"} {
		since.wait(t, "drift", name)
		drifts := since.events(t, "drift", name)
		if len(drifts) != 1 {
			t.Errorf("%s: %d drifts, want one pass to do", name, len(drifts))
		}
		e := drifts[0]
		if e.get("CTKEEPER_FOUND") != found || e.get("CTKEEPER_CAUSE") != "module-load" || e.get("CTKEEPER_RESULT") != "repaired" {
			t.Errorf("%s: found %s, cause %s, result %s; want %s, module-load, repaired",
				name, e.get("CTKEEPER_FOUND"), e.get("CTKEEPER_CAUSE"), e.get("CTKEEPER_RESULT"), found)
		}
	}
}

// TestHundredLoads: the module comes and goes a hundred times while the daemon
// runs, which neither pins it nor loses anything by it.
func TestHundredLoads(t *testing.T) {
	const loads = 100
	keep(t, usual)
	pid := mainPID(t)
	before := openFiles(t, pid)
	worst := time.Duration(0)
	for range loads {
		run(t, "modprobe", "nf_conntrack")
		worst = max(worst, inForce(t, prompt, usualValues))
		run(t, "modprobe", "-r", "nf_conntrack")
	}
	t.Logf("in force at most %s after modprobe returned", worst)
	eventually(t, prompt, "the module is seen as gone, a hundred times loaded", func() bool {
		s, _ := ask(t, "status")
		return s.Module.State == "absent" && s.Module.Loads == loads
	})
	if mainPID(t) != pid {
		t.Error("the daemon was restarted")
	}
	if after := openFiles(t, pid); after > before+2 {
		t.Errorf("%d files open before, %d after", before, after)
	}
}

// TestHurriedLoads: loads and unloads without a pause, so that passes meet a
// module that is half there. What counts is the end.
func TestHurriedLoads(t *testing.T) {
	since := keep(t, usual)
	pid := mainPID(t)
	for range 50 {
		run(t, "modprobe", "nf_conntrack")
		run(t, "modprobe", "-r", "nf_conntrack")
	}
	run(t, "modprobe", "nf_conntrack")
	inForce(t, prompt, usualValues)
	if mainPID(t) != pid {
		t.Error("the daemon was restarted")
	}
	for _, kind := range []string{"failed", "forbidden", "contested"} {
		for _, e := range since.events(t, kind) {
			t.Errorf("%s: %s", kind, e.get("MESSAGE"))
		}
	}
}

func openFiles(t *testing.T, pid int) int {
	t.Helper()
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

const loading = usual + `module:
  load: true
`

// TestModuleLoad: module.load has the module loaded when the unit starts.
func TestModuleLoad(t *testing.T) {
	keep(t, loading)
	if !loaded() {
		t.Fatal("module.load is true, and the module is not there once the unit has started")
	}
	inForce(t, prompt, usualValues)
}

// TestModuleLoadRefused: modprobe.d has the last word, its error is told in
// full, and the unit is up all the same.
func TestModuleLoadRefused(t *testing.T) {
	for name, c := range map[string]struct{ line, says string }{
		"blacklist": {"blacklist nf_conntrack\n", "blacklist"},
		"install":   {"install nf_conntrack /bin/false\n", "/bin/false"},
		"options":   {"options nf_conntrack hashsize=nonsense\n", "Invalid argument"},
	} {
		t.Run(name, func(t *testing.T) {
			since := fresh(t)
			put(t, modprobeD, c.line)
			put(t, mainFile, loading)
			run(t, "systemctl", "start", unit)
			if loaded() {
				t.Error("loaded against modprobe.d")
			}
			if !active(t) {
				t.Error("the unit is not active")
			}
			said := ""
			for _, e := range since.unitEntries(t) {
				if m := e.get("MESSAGE"); strings.Contains(m, "modprobe") || strings.Contains(m, "nf_conntrack") {
					said += m + "\n"
				}
			}
			if !strings.Contains(said, c.says) {
				t.Errorf("the journal does not give modprobe's reason (%q):\n%s", c.says, said)
			}
		})
	}
}

//go:build guest

package scenarios

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
)

const unit = "ctkeeper.service"

// leftovers are patterns of the files that scenarios write.
var leftovers = []string{
	"/var/lib/ctkeeper/*", "/etc/ctkeeper/*", "/run/ctkeeper/conf.d/*", "/usr/lib/ctkeeper/conf.d/*",
	modprobeD, "/etc/modprobe.d/ctkeeper.conf", "/etc/modules-load.d/ctkeeper.conf", "/etc/udev/rules.d/*ctkeeper*",
	"/etc/sysctl.d/*conntrack*.conf", "/etc/sysctl.d/*ctkeeper*.conf", "/etc/systemd/system/" + unit + ".d/*",
}

// resetHost restores the state in which every scenario begins: no daemon, no conntrack, no configuration.
func resetHost(t *testing.T) {
	t.Helper()
	run(t, "systemctl", "stop", unit)
	_, _ = try(t, "systemctl", "stop", exporterUnit) // is not installed everywhere
	_, _ = try(t, "systemctl", "reset-failed", unit)
	unload(t)
	reload := false
	for _, pattern := range leftovers {
		found, _ := filepath.Glob(pattern)
		for _, path := range found {
			reload = reload || strings.HasPrefix(path, "/etc/systemd/")
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
		}
	}
	if reload {
		run(t, "systemctl", "daemon-reload")
	}
}

// cleanHost resets the host, now and at the end of the scenario, and logs the unit's journal if the scenario failed.
// It returns the end of the journal.
func cleanHost(t *testing.T) cursor {
	t.Helper()
	resetHost(t)
	since := journalEnd(t)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("journal of the unit:\n%s", since.text(t))
		}
		resetHost(t)
	})
	return since
}

// startDaemon starts the daemon on a clean host, with a configuration and without the module.
func startDaemon(t *testing.T, config string) cursor {
	t.Helper()
	since := cleanHost(t)
	writeFile(t, mainFile, config)
	run(t, "systemctl", "start", unit)
	return since
}

// startWithModule starts the daemon with usual, loads the module, and waits until the values are applied.
func startWithModule(t *testing.T) cursor {
	t.Helper()
	since := startDaemon(t, usual)
	run(t, "modprobe", "nf_conntrack")
	waitApplied(t, prompt, usualValues)
	since.wait(t, "module-load")
	return since
}

// property returns a property of the unit.
func property(t *testing.T, name string) string {
	t.Helper()
	return strings.TrimSpace(run(t, "systemctl", "show", "--value", "-p", name, unit))
}

func isActive(t *testing.T) bool { return property(t, "ActiveState") == "active" }

func mainPID(t *testing.T) int { return number(t, property(t, "MainPID")) }

// freeze stops the daemon and waits until every thread has stopped. On a slow processor that takes a while, in which
// it may still repair something.
func freeze(t *testing.T) {
	t.Helper()
	pid := mainPID(t)
	signal(t, syscall.SIGSTOP)
	eventually(t, prompt, "every thread has stopped", func() bool {
		states, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/stat")
		if err != nil || len(states) == 0 {
			t.Fatalf("the daemon's threads: %v", err)
		}
		for _, file := range states {
			stat, err := os.ReadFile(file)
			_, after, _ := strings.Cut(string(stat), ") ")
			if err == nil && !strings.HasPrefix(after, "T") {
				return false
			}
		}
		return true
	})
}

// signal sends a signal to the daemon.
func signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(mainPID(t), s); err != nil {
		t.Fatal(err)
	}
}

// settingOf returns a setting of a document, or a zero one.
func settingOf(d status.Document, name string) reconcile.SettingStatus {
	for _, s := range d.Settings {
		if s.Name == name {
			return s
		}
	}
	return reconcile.SettingStatus{}
}

// document runs a ctkeeper command with -o json and returns its document and exit status.
func document(t *testing.T, args ...string) (status.Document, int) {
	t.Helper()
	out, code := runStdout(t, "ctkeeper", append(args, "-o", "json")...)
	var d status.Document
	if err := json.Unmarshal([]byte(out), &d); err != nil {
		t.Fatalf("ctkeeper %s -o json: %v\n%s", strings.Join(args, " "), err, out)
	}
	return d, code
}

//go:build guest

package scenarios

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// firewallUnit is the service of a firewall whose restart unloads conntrack.
const firewallUnit = "firewall-like.service"

// installFirewallService installs a service that unloads conntrack when it stops, and loads it by a rule when it
// starts.
func installFirewallService(t *testing.T) {
	t.Helper()
	script, file := filepath.Join(os.Getenv("CTKEEPER_E2E_DIR"), "firewall"), "/run/systemd/system/"+firewallUnit
	writeFile(t, file, "[Service]\nType=oneshot\nRemainAfterExit=yes\n"+
		"ExecStart="+script+" start\nExecStop="+script+" stop\n")
	run(t, "systemctl", "daemon-reload")
	t.Cleanup(func() {
		_, _ = try(t, "systemctl", "stop", firewallUnit)
		if err := os.Remove(file); err != nil {
			t.Error(err)
		}
		run(t, "systemctl", "daemon-reload")
	})
}

// checkWriter checks the writer in the journal's newest entry of a kind.
func (c cursor) checkWriter(t *testing.T, kind string, want sysfs.Writer, settings ...string) {
	t.Helper()
	c.wait(t, kind, settings...)
	all := c.events(t, kind, settings...)
	e := all[len(all)-1]
	t.Log(e.get("MESSAGE"))
	by := writerOf(e)
	if by["CTKEEPER_BY_PID"] == "" && want.Unit != "" {
		t.Errorf("%s: no pid", kind)
	}
	delete(by, "CTKEEPER_BY_PID")
	if diff := cmp.Diff(writerFields(want), by); diff != "" {
		t.Errorf("%s %v (-want +got):\n%s", kind, settings, diff)
	}
}

// TestGuardModule: the guard names who loads and unloads the module, by hand and by a rule that needs it, and who
// writes hashsize through sysfs. It does not pin the module.
func TestGuardModule(t *testing.T) {
	for _, rights := range guardSteps {
		t.Run(rights.name, func(t *testing.T) {
			startWithGuard(t, usual+"guard: watch\n", status.GuardWatching, rights.steps...)
			names := statusDocument(t).Guard.Names
			t.Logf("reported here: %v", names)
			// visible returns a writer if the guard reports what needs an ability: module or sysfs.
			visible := func(ability string, by sysfs.Writer) sysfs.Writer {
				if !slices.Contains(names, ability) {
					return sysfs.Writer{}
				}
				return by
			}
			restartFirewall(t, len(rights.steps), visible)
			if slices.Contains(names, "module") {
				checkFirewallEvents(t)
			}
			run(t, "systemctl", "stop", firewallUnit)
			if isLoaded() {
				t.Error("the module is loaded after the firewall's stop: something pins it")
			}
			loadByHand(t, visible)
		})
	}
}

// restartFirewall restarts the firewall a number of times and checks the writers of what that causes.
func restartFirewall(t *testing.T, times int, visible func(string, sysfs.Writer) sysfs.Writer) {
	t.Helper()
	installFirewallService(t)
	unload(t)
	run(t, "systemctl", "start", firewallUnit)
	waitApplied(t, prompt, usualValues)
	unloader := visible("module", sysfs.Writer{Comm: "modprobe", Unit: firewallUnit})
	loader := visible("module", sysfs.Writer{Comm: "iptables", Unit: firewallUnit})
	for range times {
		since := journalEnd(t)
		run(t, "systemctl", "restart", firewallUnit)
		waitApplied(t, prompt, usualValues)
		since.checkWriter(t, "module-unload", unloader)
		since.checkWriter(t, "module-load", loader)
		since.checkWriter(t, "drift", loader, "tcp_timeout_established")
	}
}

// checkFirewallEvents checks that ctkeeper events names the firewall.
func checkFirewallEvents(t *testing.T) {
	t.Helper()
	for _, kind := range []string{"module-load", "module-unload"} {
		if by := eventWriter(t, kind, "", ""); by.Unit != firewallUnit {
			t.Errorf("ctkeeper events: %s by %+v", kind, by)
		}
	}
	if text, _ := runStdout(t, "ctkeeper", "events"); !strings.Contains(text, firewallUnit) {
		t.Errorf("ctkeeper events does not name %s:\n%s", firewallUnit, text)
	}
}

// loadByHand loads the module, writes hashsize through sysfs, and unloads it, each in a unit of its own.
func loadByHand(t *testing.T, visible func(string, sysfs.Writer) sysfs.Writer) {
	t.Helper()
	since := journalEnd(t)
	if code := runAsUnit(t, "e2e-loader", "modprobe", "nf_conntrack"); code != 0 {
		t.Fatalf("modprobe: exit status %d", code)
	}
	waitApplied(t, prompt, usualValues)
	since.checkWriter(t, "module-load", visible("module", sysfs.Writer{Comm: "modprobe", Unit: "e2e-loader.service"}))
	code := runAsUnit(t, "e2e-sysfs", "sh", "-c", "echo 16384 > "+filepath.Join(paramDir, "hashsize"))
	if code != 0 {
		t.Fatalf("sysfs: exit status %d", code)
	}
	waitApplied(t, prompt, usualValues)
	since.checkWriter(t, "drift", visible("sysfs", sysfs.Writer{Comm: "sh", Unit: "e2e-sysfs.service"}), "hashsize")
	if code := runAsUnit(t, "e2e-unloader", "modprobe", "-r", "nf_conntrack"); code != 0 || isLoaded() {
		t.Fatalf("modprobe -r: exit status %d", code)
	}
	unloader := visible("module", sysfs.Writer{Comm: "modprobe", Unit: "e2e-unloader.service"})
	since.checkWriter(t, "module-unload", unloader)
}

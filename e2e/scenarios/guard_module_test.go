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

// firewallUnit is a firewall's service as the second field report has it.
const firewallUnit = "firewall-like.service"

// firewallService brings the service that unloads conntrack when it stops, and loads it by
// a rule when it starts.
func installFirewallService(t *testing.T) {
	t.Helper()
	script, file := filepath.Join(os.Getenv("CTKEEPER_E2E_DIR"), "firewall"), "/run/systemd/system/"+firewallUnit
	writeFile(t, file, "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart="+script+" start\nExecStop="+script+" stop\n")
	run(t, "systemctl", "daemon-reload")
	t.Cleanup(func() {
		_, _ = try(t, "systemctl", "stop", firewallUnit)
		if err := os.Remove(file); err != nil {
			t.Error(err)
		}
		run(t, "systemctl", "daemon-reload")
	})
}

// mover checks who the journal's newest entry of a kind names, and that it has the rest.
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

// TestGuardModule: who loads and unloads the module, by hand and through a rule that the kernel
// loads it for, and who writes hashsize through sysfs. Nothing holds the module.
func TestGuardModule(t *testing.T) {
	for _, rights := range guardRights {
		t.Run(rights.name, func(t *testing.T) {
			startWithGuard(t, usual+"guard: watch\n", status.GuardWatching, rights.steps...)
			names := statusDocument(t).Guard.Names
			t.Logf("told here: %v", names)
			// who is a writer as it is told for a load, an unload, or a write through sysfs.
			who := func(ability string, by sysfs.Writer) sysfs.Writer {
				if !slices.Contains(names, ability) {
					return sysfs.Writer{}
				}
				return by
			}
			installFirewallService(t)
			unload(t)
			run(t, "systemctl", "start", firewallUnit)
			waitApplied(t, prompt, usualValues)
			for range rights.steps { // once, and twice where it is told
				since := journalEnd(t)
				run(t, "systemctl", "restart", firewallUnit)
				waitApplied(t, prompt, usualValues)
				since.checkWriter(t, "module-unload", who("module", sysfs.Writer{Comm: "modprobe", Unit: firewallUnit}))
				since.checkWriter(t, "module-load", who("module", sysfs.Writer{Comm: "iptables", Unit: firewallUnit}))
				since.checkWriter(t, "drift", who("module", sysfs.Writer{Comm: "iptables", Unit: firewallUnit}), "tcp_timeout_established")
			}
			if slices.Contains(names, "module") {
				// Which restart was it?
				if by := eventWriter(t, "module-load", "", ""); by.Unit != firewallUnit {
					t.Errorf("events: loaded by %+v", by)
				}
				if by := eventWriter(t, "module-unload", "", ""); by.Unit != firewallUnit {
					t.Errorf("events: unloaded by %+v", by)
				}
				if text, _ := runStdout(t, "ctkeeper", "events"); !strings.Contains(text, firewallUnit) {
					t.Errorf("ctkeeper events does not say it:\n%s", text)
				}
			}
			run(t, "systemctl", "stop", firewallUnit)
			if isLoaded() {
				t.Error("the firewall's stop left the module loaded: something holds it")
			}

			since := journalEnd(t)
			if code := runAsUnit(t, "e2e-loader", "modprobe", "nf_conntrack"); code != 0 {
				t.Fatalf("modprobe: exit status %d", code)
			}
			waitApplied(t, prompt, usualValues)
			since.checkWriter(t, "module-load", who("module", sysfs.Writer{Comm: "modprobe", Unit: "e2e-loader.service"}))
			if code := runAsUnit(t, "e2e-sysfs", "sh", "-c", "echo 16384 > "+filepath.Join(paramDir, "hashsize")); code != 0 {
				t.Fatalf("sysfs: exit status %d", code)
			}
			waitApplied(t, prompt, usualValues)
			since.checkWriter(t, "drift", who("sysfs", sysfs.Writer{Comm: "sh", Unit: "e2e-sysfs.service"}), "hashsize")
			if code := runAsUnit(t, "e2e-unloader", "modprobe", "-r", "nf_conntrack"); code != 0 || isLoaded() {
				t.Fatalf("modprobe -r: exit status %d", code)
			}
			since.checkWriter(t, "module-unload", who("module", sysfs.Writer{Comm: "modprobe", Unit: "e2e-unloader.service"}))
		})
	}
}

//go:build guest

package scenarios

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/ctkeeper/ctkeeper/guard/setup"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/systemd"
)

// TestGuardOn turns the guard on beside the file of comments that a package installs: the embedded default stays in
// effect. Turned on again it changes nothing, and it is not restarted for another mode.
func TestGuardOn(t *testing.T) {
	cleanHost(t)
	run(t, "systemctl", "start", unit)
	writeFile(t, mainFile, "# settings:\n")
	for _, step := range []struct {
		args  string
		state status.GuardState
		want  string
	}{
		{"on hold", status.GuardHolding, "wrote " + systemd.GuardDropIn},
		{"on hold", status.GuardHolding, "Nothing to change: the guard's mode is hold."},
		{"on lock", status.GuardLocked, "wrote " + setup.ConfigDropIn},
		{"off", status.GuardOff, "removed " + systemd.GuardDropIn},
		{"off", status.GuardOff, "Nothing to change: the guard's mode is off."},
	} {
		before := mainPID(t)
		out := run(t, "ctkeeper", append([]string{"guard"}, strings.Fields(step.args)...)...)
		d := statusDocument(t)
		if !strings.Contains(out, step.want) || d.Guard.State != step.state || len(d.Settings) != 2 {
			t.Errorf("guard %s: %s, state %s, settings %+v", step.args, out, d.Guard.State, d.Settings)
		}
		restarted := mainPID(t) != before
		if rights := strings.Contains(out, systemd.GuardDropIn); restarted != rights {
			t.Errorf("guard %s: restarted %t, changed the rights %t", step.args, restarted, rights)
		}
		if text, code := runStdout(t, "ctkeeper", "guard", "status"); code != 0 {
			t.Errorf("guard status after %s: %d\n%s", step.args, code, text)
		}
	}
}

// TestGuardOnPutsBack turns the guard on where the unit has a line that takes its system call away.
func TestGuardOnPutsBack(t *testing.T) {
	cleanHost(t)
	writeFile(t, mainFile, usual)
	writeFile(t, "/etc/systemd/system/ctkeeper.service.d/zz-hardening.conf", "[Service]\nSystemCallFilter=~bpf\n")
	run(t, "systemctl", "daemon-reload")
	run(t, "systemctl", "start", unit)
	out, err := exec.Command("ctkeeper", "guard", "on", "hold").CombinedOutput()
	t.Logf("%v: %s", err, out)
	if err == nil || !strings.Contains(string(out), "all files are put back") {
		t.Errorf("error %v: %s", err, out)
	}
	for _, file := range []string{systemd.GuardDropIn, setup.ConfigDropIn} {
		if _, err := os.Stat(file); err == nil {
			t.Errorf("%s is left", file)
		}
	}
	if d := statusDocument(t); !isActive(t) || d.Guard.Mode != "off" {
		t.Errorf("active %t, guard %+v", isActive(t), d.Guard)
	}
}

package fixes

import (
	"fmt"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/host/change"
	"github.com/ctkeeper/ctkeeper/kmod"
)

// LoadModule returns the step that is the last one of most fixes.
func LoadModule() finding.Step { return change.Run("modprobe", kmod.Conntrack) }

// ImportWrite returns the step that writes a configuration from what the host's files assign.
func ImportWrite() finding.Step { return change.Run("ctkeeper", "import", "--write") }

// Reboot returns the command of this host's init.
func Reboot(h *picture.Host) finding.Step {
	if h.Env.Systemd {
		return change.Run("systemctl", "reboot")
	}
	return change.Run("reboot")
}

// Enforce returns the command that applies the configuration now.
func Enforce(h *picture.Host) finding.Step {
	if h.Env.Systemd && h.Env.Installed {
		return change.Run("systemctl", "reload-or-restart", "ctkeeper")
	}
	return change.Run("ctkeeper", "apply")
}

// EnforceAtLeast returns the command that applies a configured value, and a note, where the configuration
// asks for at least the needed value and it is not applied.
func EnforceAtLeast(h *picture.Host, name string, needed int64) (fix []finding.Step, note string) {
	w, _ := h.Want(name)
	n, isNumber := w.Value.Int()
	if !isNumber || n < needed || h.IsApplied(name) {
		return nil, ""
	}
	note = fmt.Sprintf("The configuration asks for %d (%s), which is not applied.", n, w.Origin)
	return []finding.Step{Enforce(h)}, note
}

// EnableUnit returns the command that starts the daemon, now and at boot.
func EnableUnit() finding.Step { return change.Run("systemctl", "enable", "--now", "ctkeeper") }

// RestartUnit returns the commands to run after a change of the unit.
func RestartUnit() []finding.Step {
	return []finding.Step{change.Run("systemctl", "daemon-reload"), change.Run("systemctl", "restart", "ctkeeper")}
}

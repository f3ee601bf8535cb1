package fixes

import (
	"fmt"

	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/kmod"
)

const (
	// LoadModule is the last command of most fixes.
	LoadModule = "modprobe " + kmod.Conntrack
	// ImportWrite writes a configuration from what the host's files assign.
	ImportWrite = "ctkeeper import --write"
)

// Reboot returns the command of this host's init.
func Reboot(h *picture.Host) string {
	if h.Env.Systemd {
		return "systemctl reboot"
	}
	return "reboot"
}

// Enforce returns the command that applies the configuration now.
func Enforce(h *picture.Host) string {
	if h.Env.Systemd && h.Env.Installed {
		return "systemctl reload-or-restart ctkeeper"
	}
	return "ctkeeper apply"
}

// EnforceAtLeast returns the command that applies a configured value, and a note, where the configuration
// asks for at least the needed value and it is not applied.
func EnforceAtLeast(h *picture.Host, name string, needed int64) (fix []string, note string) {
	w, _ := h.Want(name)
	n, isNumber := w.Value.Int()
	if !isNumber || n < needed || h.IsApplied(name) {
		return nil, ""
	}
	return []string{Enforce(h)}, fmt.Sprintf("The configuration asks for %d (%s), which is not applied.", n, w.Origin)
}

// RestartUnit returns the commands to run after a change of the unit.
func RestartUnit() []string { return []string{"systemctl daemon-reload", "systemctl restart ctkeeper"} }

// AddKernelArgument returns the commands that add an argument to the kernel command line; none where
// its file is not known.
func AddKernelArgument(h *picture.Host, argument string) []string {
	_, commands := h.Boot.AddArgument(argument)
	return commands
}

// RemoveKernelArgument returns the commands that remove an argument from the kernel command line; none
// where its file is not known.
func RemoveKernelArgument(h *picture.Host, argument string) []string {
	_, commands := h.Boot.RemoveArgument(argument)
	return commands
}

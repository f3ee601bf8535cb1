package fixes

import (
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/kmod"
)

// LoadModule is the last step of most fixes.
const LoadModule = "modprobe " + kmod.Conntrack

// Reboot is the command of this host's init.
func Reboot(h *picture.Host) string {
	if h.Env.Systemd {
		return "systemctl reboot"
	}
	return "reboot"
}

const ImportWrite = "ctkeeper import --write"

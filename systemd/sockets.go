package systemd

import (
	"os"

	"github.com/coreos/go-systemd/v22/activation"
)

// Sockets returns the sockets that systemd has opened for this process, in the order of the
// socket unit. It unsets their environment variables, so that no child uses them. See
// sd_listen_fds(3) and systemd.socket(5).
func Sockets() []*os.File { return activation.Files(true) }

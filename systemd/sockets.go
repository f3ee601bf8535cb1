package systemd

import (
	"os"

	"github.com/coreos/go-systemd/v22/activation"
)

// Sockets gives the sockets that systemd has opened for this process, in the order of the
// socket unit, and forgets them: a child is not to take them for its own. See
// sd_listen_fds(3) and systemd.socket(5).
func Sockets() []*os.File { return activation.Files(true) }

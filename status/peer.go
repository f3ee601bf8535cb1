package status

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// checkPeer returns an error if the process that listens on the other end is neither root's, nor this user's,
// nor of the user of ctkeeper.service. SO_PEERCRED has the process that called listen(2) (unix(7)).
func checkPeer(conn *net.UnixConn, socket string) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var peer *unix.Ucred
	if closed := raw.Control(func(fd uintptr) {
		peer, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); closed != nil {
		return closed
	}
	if err != nil {
		return fmt.Errorf("cannot tell who listens on %s: %w", socket, err)
	}
	if isTrusted(peer.Uid, uint32(os.Geteuid()), socket) {
		return nil
	}
	return fmt.Errorf("not ctkeeper: process %d of user %d listens on %s; it is neither root nor the service's user",
		peer.Pid, peer.Uid, socket)
}

// isTrusted reports whether a user may run the daemon that this user asks.
func isTrusted(peer, own uint32, socket string) bool {
	if peer == 0 || peer == own {
		return true
	}
	owner, known := serviceUser(socket)
	return known && peer == owner
}

// serviceUser returns the user of ctkeeper.service: the owner of its state directory, which systemd makes
// (StateDirectory=, systemd.exec(5)), below the same root as the socket. In /run/ctkeeper the members of the
// group may make files; in /var/lib only root may.
func serviceUser(socket string) (uint32, bool) {
	root, found := strings.CutSuffix(socket, "/run/ctkeeper/ctkeeper.sock")
	if !found {
		return 0, false
	}
	var stat unix.Stat_t
	err := unix.Lstat(filepath.Join("/", root, "var/lib/ctkeeper"), &stat)
	return stat.Uid, err == nil && stat.Mode&unix.S_IFMT == unix.S_IFDIR
}

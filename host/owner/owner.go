package owner

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// Port is the port id of the owner's socket. The kernel itself chooses process ids, which are at most 2²², or
	// numbers from 2³¹ on (netlink_autobind).
	Port = 0x63746b70
	// Group is the multicast group that the owner is in.
	Group = 1

	table = "/proc/self/net/netlink"
	// maxTable limits the table of sockets, in bytes: some 100 000 of them. Every user can make more.
	maxTable = 8 << 20

	// A socket has its port id before it is in its group (netlink_bind): one without the group is looked at again.
	looks     = 3
	lookPause = 20 * time.Millisecond
)

var (
	// ErrHeld means that another process owns the network namespace.
	ErrHeld = errors.New("another ctkeeper keeps the settings of this network namespace")
	// ErrOccupied means that a process without CAP_NET_ADMIN has the port id: there is no owner, and there can be none.
	ErrOccupied = errors.New("a process without CAP_NET_ADMIN has the netlink port id by which ctkeeper marks its " +
		"network namespace (NETLINK_USERSOCK " + portText + " in /proc/net/netlink)")
)

const portText = "1668574064"

// Claim is the ownership of the network namespace that the process was in.
type Claim struct{ fd int }

// Take makes this process the owner of its network namespace, until Release or its end. The error is ErrHeld,
// ErrOccupied, EPERM without CAP_NET_ADMIN over the namespace, or one of socket(2).
func Take() (*Claim, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_USERSOCK)
	if err != nil {
		return nil, fmt.Errorf("cannot mark the network namespace: %w", err)
	}
	c := &Claim{fd}
	if err := c.bind(); err != nil {
		return nil, errors.Join(err, c.Release())
	}
	return c, nil
}

func (c *Claim) bind() error {
	// Everybody may send to it (NL_CFG_F_NONROOT_SEND): the filter drops all messages before they take memory.
	drop := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K}
	filter := unix.SockFprog{Len: 1, Filter: &drop}
	err := unix.SetsockoptSockFprog(c.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &filter)
	if err != nil {
		return fmt.Errorf("cannot mark the network namespace: %w", err)
	}
	for range looks {
		err = unix.Bind(c.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Pid: Port, Groups: 1 << (Group - 1)})
		if err == nil {
			return nil
		}
		switch held, readErr := Held(); {
		case held:
			return ErrHeld
		case !errors.Is(err, unix.EADDRINUSE):
			return fmt.Errorf("cannot mark the network namespace: %w", err)
		case readErr != nil:
			return fmt.Errorf("cannot find the owner of the network namespace: %w", readErr)
		}
		time.Sleep(lookPause)
	}
	return ErrOccupied
}

// Release ends the ownership. On a nil Claim it does nothing.
func (c *Claim) Release() error {
	if c == nil {
		return nil
	}
	return unix.Close(c.fd)
}

// Held reports whether a process owns the network namespace of this one; the process itself counts. It needs no
// capability. The error is one of reading the table, or that the table is longer than 8 MiB.
func Held() (bool, error) {
	file, err := os.Open(table)
	if err != nil {
		return false, err
	}
	defer func() { _ = file.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(file, maxTable))
	switch {
	case err != nil:
		return false, err
	case hasOwner(string(text)):
		return true, nil
	case len(text) == maxTable:
		return false, fmt.Errorf("cannot search %s: it has more than %d bytes", table, maxTable)
	}
	return false, nil
}

// hasOwner reports whether a table of netlink sockets has the owner's: its columns are the socket, protocol, port id,
// the groups in hexadecimal, and others (netlink_seq_show).
func hasOwner(text string) bool {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 4 || fields[1] != strconv.Itoa(unix.NETLINK_USERSOCK) || fields[2] != portText {
			continue
		}
		groups, err := strconv.ParseUint(fields[3], 16, 32)
		return err == nil && groups&(1<<(Group-1)) != 0
	}
	return false
}

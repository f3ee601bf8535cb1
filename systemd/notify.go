package systemd

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// A Notifier tells the service manager how the daemon is doing, by sd_notify(3).
// The zero value is ready for use; each of its methods does nothing where
// NOTIFY_SOCKET is not set. It may be used by several goroutines and must not be
// copied.
type Notifier struct {
	mu     sync.Mutex
	status string // the text that the service manager shows now
}

// Ready says that the daemon is up, or that a reload which Reloading announced
// is done, and shows status beside it in systemctl status. An empty status
// leaves the old one.
func (n *Notifier) Ready(status string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.send(daemon.SdNotifyReady, status)
}

// Status shows a line of text in systemctl status. It sends nothing when that
// text is there already, so a pass may call it each time.
func (n *Notifier) Status(status string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if oneLine(status) == n.status {
		return nil
	}
	return n.send("", status)
}

// Reloading says that the configuration is being read again. Ready has to
// follow, whether that went well or not. It carries CLOCK_MONOTONIC, by which
// the service manager tells this reload from an earlier one.
func (n *Notifier) Reloading() error {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return fmt.Errorf("cannot notify systemd: clock_gettime: %w", err)
	}
	usec := now.Nano() / int64(time.Microsecond)
	return notify(daemon.SdNotifyReloading + "\nMONOTONIC_USEC=" + strconv.FormatInt(usec, 10))
}

// Stopping says that the daemon is on its way out.
func (n *Notifier) Stopping() error {
	return notify(daemon.SdNotifyStopping)
}

// Watchdog says that the daemon is alive. The loop that does the work has to
// call it, more often than WatchdogInterval, and nobody else.
func (n *Notifier) Watchdog() error {
	return notify(daemon.SdNotifyWatchdog)
}

// WatchdogInterval gives the time after which the service manager kills a daemon
// that has not called Watchdog, or 0 when it does not watch this process. See
// sd_watchdog_enabled(3).
func (n *Notifier) WatchdogInterval() time.Duration {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return 0
	}
	return interval
}

// send sends state, status or both, and remembers the status that arrived. The
// caller holds mu.
func (n *Notifier) send(state, status string) error {
	lines := make([]string, 0, 2)
	if state != "" {
		lines = append(lines, state)
	}
	status = oneLine(status)
	if status != "" || state == "" {
		lines = append(lines, "STATUS="+status)
	}
	if err := notify(strings.Join(lines, "\n")); err != nil {
		return err
	}
	if status != "" || state == "" {
		n.status = status
	}
	return nil
}

// notify sends one datagram to NOTIFY_SOCKET.
func notify(state string) error {
	if _, err := daemon.SdNotify(false, state); err != nil {
		return fmt.Errorf("cannot notify systemd: %w", err)
	}
	return nil
}

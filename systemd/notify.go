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

// A Notifier reports the daemon's state to the service manager with sd_notify(3).
// The zero value is ready for use. Its methods do nothing if NOTIFY_SOCKET is not
// set. It is safe for concurrent use and must not be copied.
type Notifier struct {
	mu     sync.Mutex
	status string // the text that the service manager shows now
}

// Ready reports that the daemon is up, or that a reload has ended, and sets the
// status. An empty status leaves the old one.
func (n *Notifier) Ready(status string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.send(daemon.SdNotifyReady, status)
}

// Status sets the status line of systemctl status. It sends nothing if the text
// has not changed, so each pass may call it.
func (n *Notifier) Status(status string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if oneLine(status) == n.status {
		return nil
	}
	return n.send("", status)
}

// Reloading reports that the configuration is being read again. The caller must
// call Ready afterwards, also if the reload failed. The message has the time of
// CLOCK_MONOTONIC, which identifies the reload for the service manager.
func (n *Notifier) Reloading() error {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return fmt.Errorf("cannot notify systemd: clock_gettime: %w", err)
	}
	usec := now.Nano() / int64(time.Microsecond)
	return notify(daemon.SdNotifyReloading + "\nMONOTONIC_USEC=" + strconv.FormatInt(usec, 10))
}

// Stopping reports that the daemon is stopping.
func (n *Notifier) Stopping() error {
	return notify(daemon.SdNotifyStopping)
}

// Watchdog reports that the daemon is alive. Only the loop that does the work
// calls it, more often than WatchdogInterval.
func (n *Notifier) Watchdog() error {
	return notify(daemon.SdNotifyWatchdog)
}

// WatchdogInterval returns the time after which the service manager kills a daemon
// that has not called Watchdog, or 0 if it does not watch this process. See
// sd_watchdog_enabled(3).
func (n *Notifier) WatchdogInterval() time.Duration {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return 0
	}
	return interval
}

// send sends state, status or both, and stores the status that was sent. The
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

package systemd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/host/logging"
)

const (
	// notifyPatience is how long a notice waits for room in the service manager's queue.
	notifyPatience = 100 * time.Millisecond
	// notifyRetry is the time after which a notice that was not sent is tried again.
	notifyRetry = time.Second
	// minWatchdog is the shortest watchdog interval that is accepted: the daemon is fed a third of that
	// apart, and a host under load can delay it by more than a few milliseconds.
	minWatchdog = time.Second
)

// A Notifier reports the daemon's state to the service manager with sd_notify(3). Its methods
// only store what to report: they never wait for the service manager, which may be frozen. Run
// sends it. Without NOTIFY_SOCKET there is nothing to send. It is safe for concurrent use.
type Notifier struct {
	address string        // NOTIFY_SOCKET
	wake    chan struct{} // has room for one value
	asked   time.Duration // WATCHDOG_USEC

	mu           sync.Mutex // held for a moment
	states       []string   // READY, RELOADING and STOPPING that were not sent, in order
	status       string     // the status line that the service manager should show
	shown        string     // the one that it shows
	passes, told uint64     // calls of Watchdog, and how many of them the last WATCHDOG=1 included
}

// NewNotifier returns a Notifier for the service manager that started this process. An interval of its
// watchdog below minWatchdog is raised to that (WATCHDOG_USEC in sd_notify(3)).
func NewNotifier() *Notifier {
	asked, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		asked = 0
	}
	n := &Notifier{address: os.Getenv("NOTIFY_SOCKET"), wake: make(chan struct{}, 1), asked: asked}
	if n.isWatchdogShort() {
		n.addState("WATCHDOG_USEC=" + strconv.FormatInt(minWatchdog.Microseconds(), 10))
	}
	return n
}

func (n *Notifier) isWatchdogShort() bool { return n.asked > 0 && n.asked < minWatchdog }

// Ready reports that the daemon is up, or that a reload has ended, and sets the status. An
// empty status leaves the old one.
func (n *Notifier) Ready(status string) {
	if status != "" {
		n.Status(status)
	}
	n.addState(daemon.SdNotifyReady)
}

// Status sets the status line of systemctl status.
func (n *Notifier) Status(status string) {
	n.mu.Lock()
	n.status = oneLine(status)
	n.mu.Unlock()
	n.notify()
}

// Reloading reports that the configuration is being read again. The caller must call Ready
// afterwards, also if the reload failed. The message has the time of CLOCK_MONOTONIC, which
// identifies the reload for the service manager.
func (n *Notifier) Reloading() {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // it fails for an unknown clock or a wrong address only
	usec := now.Nano() / int64(time.Microsecond)
	n.addState(daemon.SdNotifyReloading + "\nMONOTONIC_USEC=" + strconv.FormatInt(usec, 10))
}

// Watchdog reports that the daemon is alive. Only the loop that does the work calls it, more
// often than WatchdogInterval.
func (n *Notifier) Watchdog() {
	n.mu.Lock()
	n.passes++
	n.mu.Unlock()
	n.notify()
}

// WatchdogInterval returns the time after which the service manager kills a daemon that has not
// called Watchdog, or 0 if it does not watch this process. See sd_watchdog_enabled(3).
func (n *Notifier) WatchdogInterval() time.Duration {
	if n.isWatchdogShort() {
		return minWatchdog
	}
	return n.asked
}

// addState adds a state to those to send. A reload that ended before it could be reported is left out
// when the next one begins, so that there are never more than a few.
func (n *Notifier) addState(state string) {
	n.mu.Lock()
	// The first state may be on its way already.
	isReloading := func(s string) bool { return strings.HasPrefix(s, daemon.SdNotifyReloading) }
	if last := len(n.states) - 2; last > 0 && isReloading(state) && isReloading(n.states[last]) {
		n.states = n.states[:last]
	}
	n.states = append(n.states, state)
	n.mu.Unlock()
	n.notify()
}

func (n *Notifier) notify() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// Run sends what there is to report until ctx ends, and then STOPPING=1. What the service manager does not
// take is tried again later: states in order, of status lines and signs of life the latest. The
// first failure is logged, and the end of the failures.
func (n *Notifier) Run(ctx context.Context, log *logging.Logger) error {
	if n.isWatchdogShort() {
		log.Warn("WatchdogSec= is too short, it is raised",
			logging.Duration(KeyFound, n.asked), logging.Duration(KeyWant, minWatchdog))
	}
	var retry <-chan time.Time
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			continue
		case <-n.wake:
			if retry != nil {
				continue
			}
		case <-retry:
		}
		err := n.flush()
		switch {
		case err != nil && retry == nil:
			log.Warn("cannot notify systemd, trying again until it works", logging.Error(err))
		case err == nil && retry != nil:
			log.Info("systemd can be notified again")
		}
		if retry = nil; err != nil {
			retry = time.After(notifyRetry)
		}
	}
	n.addState(daemon.SdNotifyStopping)
	_ = n.flush() // there is no time to try again
	return ctx.Err()
}

// flush sends everything that there is to report, a datagram for each state.
func (n *Notifier) flush() error {
	if n.address == "" {
		return nil
	}
	for {
		n.mu.Lock()
		var lines []string
		hasState := len(n.states) > 0
		if hasState {
			lines = append(lines, n.states[0])
		}
		status, passes := n.status, n.passes
		if status != n.shown {
			lines = append(lines, "STATUS="+status)
		}
		if passes != n.told {
			lines = append(lines, daemon.SdNotifyWatchdog)
		}
		n.mu.Unlock()
		if len(lines) == 0 {
			return nil
		}
		if err := sendNotice(n.address, strings.Join(lines, "\n")); err != nil {
			return err
		}
		n.mu.Lock()
		if hasState {
			n.states = n.states[1:]
		}
		n.shown, n.told = status, passes
		n.mu.Unlock()
	}
}

// sendNotice sends one datagram. It waits for notifyPatience at most: a service manager that is frozen or
// debugged leaves its queue full.
func sendNotice(address, text string) (err error) {
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("cannot notify systemd: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := conn.SetWriteDeadline(time.Now().Add(notifyPatience)); err != nil {
		return fmt.Errorf("cannot notify systemd: %w", err)
	}
	if _, err := conn.Write([]byte(text)); err != nil {
		return fmt.Errorf("cannot notify systemd: %w", err)
	}
	return nil
}

package systemd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/host/logging"
)

// manager listens as the service manager does and sets NOTIFY_SOCKET.
func manager(t *testing.T, address string) *net.UnixConn {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatalf("cannot listen on %s: %v", address, err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", address)
	return conn
}

// received returns the datagrams in the queue.
func received(t *testing.T, conn *net.UnixConn) []string {
	t.Helper()
	var out []string
	buffer := make([]byte, 4096)
	for {
		// A datagram on a unix socket is in the queue once its sender has returned.
		if err := conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		n, err := conn.Read(buffer)
		if err != nil {
			return out
		}
		out = append(out, string(buffer[:n]))
	}
}

func TestNotify(t *testing.T) {
	addresses := map[string]string{
		"path":     filepath.Join(t.TempDir(), "notify"),
		"abstract": fmt.Sprintf("@ctkeeper-test-%d", os.Getpid()),
	}
	for name, address := range addresses {
		t.Run(name, func(t *testing.T) {
			conn := manager(t, address)
			n := NewNotifier()
			steps := []func(){
				func() { n.Status("waiting for nf_conntrack") },
				func() { n.Status("waiting for nf_conntrack") },
				func() { n.Ready("3 settings in sync") },
				func() { n.Status("3 settings in sync") },
				func() { n.Ready("") },
				func() { n.Status("one"); n.Status("two\nlines") },
				func() { n.Status("two\nlines") },
				func() { n.Watchdog(); n.Watchdog() },
				func() {},
				func() { n.Status("") },
				func() { n.Watchdog(); n.Status("up"); n.Ready("3 settings in sync") },
			}
			for i, step := range steps {
				step()
				if err := n.flush(); err != nil {
					t.Errorf("step %d: %v", i, err)
				}
			}
			want := []string{
				"STATUS=waiting for nf_conntrack",
				"READY=1\nSTATUS=3 settings in sync",
				"READY=1",
				"STATUS=two; lines",
				"WATCHDOG=1",
				"STATUS=",
				"READY=1\nSTATUS=3 settings in sync\nWATCHDOG=1",
			}
			if diff := cmp.Diff(want, received(t, conn)); diff != "" {
				t.Errorf("datagrams (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReloading(t *testing.T) {
	conn := manager(t, filepath.Join(t.TempDir(), "notify"))
	before := monotonicUSec(t)
	n := NewNotifier()
	n.Reloading()
	after := monotonicUSec(t)
	if err := n.flush(); err != nil {
		t.Fatal(err)
	}
	got := received(t, conn)
	if len(got) != 1 {
		t.Fatalf("datagrams %q, want one", got)
	}
	digits, ok := strings.CutPrefix(got[0], "RELOADING=1\nMONOTONIC_USEC=")
	usec, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || usec < before || usec > after {
		t.Errorf("datagram %q, want RELOADING=1 and a MONOTONIC_USEC from %d to %d", got[0], before, after)
	}
}

func monotonicUSec(t *testing.T) int64 {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		t.Fatal(err)
	}
	return now.Nano() / 1000
}

// full returns a service manager whose queue is full.
func full(t *testing.T) *net.UnixConn {
	t.Helper()
	conn := manager(t, filepath.Join(t.TempDir(), "notify"))
	for sendNotice(os.Getenv("NOTIFY_SOCKET"), "FOREIGN=1") == nil {
	}
	return conn
}

// own returns the datagrams in the queue that are ctkeeper's.
func own(t *testing.T, conn *net.UnixConn) []string {
	t.Helper()
	return slices.DeleteFunc(received(t, conn), func(text string) bool { return text == "FOREIGN=1" })
}

// A service manager that does not read makes nobody wait. It then gets every state in order, the last status
// line, and one sign of life.
func TestFrozenManager(t *testing.T) {
	conn := full(t)
	n := NewNotifier()
	began := time.Now()
	n.Ready("1 of 2")
	for i := range 1000 {
		n.Reloading()
		n.Ready("")
		n.Status(fmt.Sprint(i))
		n.Watchdog()
	}
	if took := time.Since(began); took > notifyPatience {
		t.Errorf("notices took %v", took)
	}
	if err := n.flush(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("flush: %v, want %v", err, os.ErrDeadlineExceeded)
	}
	received(t, conn)
	if err := n.flush(); err != nil {
		t.Fatal(err)
	}
	got := own(t, conn)
	for i, text := range got {
		got[i], _, _ = strings.Cut(text, "\nMONOTONIC_USEC=")
	}
	want := []string{"READY=1\nSTATUS=999\nWATCHDOG=1", "RELOADING=1", "READY=1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("datagrams (-want +got):\n%s", diff)
	}
}

// run runs the notifier until stop is called, which returns how long it took to end.
func run(t *testing.T, n *Notifier) (logs *observer.ObservedLogs, stop func() time.Duration) {
	t.Helper()
	core, logs := observer.New(zapcore.InfoLevel)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- n.Run(ctx, logging.New(core)) }()
	return logs, func() time.Duration {
		began := time.Now()
		cancel()
		<-ended
		return time.Since(began)
	}
}

// Run logs the first failure and the end of the failures.
func TestRunOfNotifier(t *testing.T) {
	conn := full(t)
	t.Setenv("WATCHDOG_USEC", "500")
	n := NewNotifier()
	logs, stop := run(t, n)
	waitFor(t, func() bool { return logs.Len() == 2 })
	n.Watchdog()
	time.Sleep(notifyRetry + 2*notifyPatience) // it fails again
	got := own(t, conn)
	waitFor(t, func() bool { return logs.Len() == 3 })
	stop()
	want := []string{"WATCHDOG_USEC=1000000\nWATCHDOG=1", "STOPPING=1"}
	if diff := cmp.Diff(want, append(got, own(t, conn)...)); diff != "" {
		t.Errorf("datagrams (-want +got):\n%s", diff)
	}
	var texts []string
	for _, e := range logs.All() {
		texts = append(texts, e.Message)
	}
	said := []string{"WatchdogSec= is too short, it is raised",
		"cannot notify systemd, trying again until it works", "systemd can be notified again"}
	if diff := cmp.Diff(said, texts); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

func TestRunEndsWithFrozenManager(t *testing.T) {
	full(t)
	n := NewNotifier()
	n.Ready("")
	logs, stop := run(t, n)
	waitFor(t, func() bool { return logs.Len() == 1 })
	if took := stop(); took > notifyRetry/2 {
		t.Errorf("the end took %v", took)
	}
}

func waitFor(t *testing.T, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not within 10 s")
		}
	}
}

func TestNotifyWithoutManager(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	n := NewNotifier()
	n.Ready("up")
	n.Watchdog()
	if err := n.flush(); err != nil {
		t.Error(err)
	}
}

func TestNotifyFailure(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	t.Setenv("NOTIFY_SOCKET", path)
	n := NewNotifier()
	n.Status("fine")
	err := n.flush()
	if err == nil || !strings.HasPrefix(err.Error(), "cannot notify systemd: ") {
		t.Errorf("error %v, want one that begins with: cannot notify systemd: ", err)
	}
	// A status that was not received is sent again.
	conn := manager(t, path)
	if err := n.flush(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"STATUS=fine"}, received(t, conn)); diff != "" {
		t.Errorf("datagrams (-want +got):\n%s", diff)
	}
}

func TestWatchdogInterval(t *testing.T) {
	self := strconv.Itoa(os.Getpid())
	tests := []struct {
		name, usec, pid string
		want            time.Duration
	}{
		{"off", "", "", 0},
		{"on", "30000000", self, 30 * time.Second},
		{"on for any process", "1000000", "", time.Second},
		{"too short", "500", "", time.Second},
		{"on for another process", "30000000", "1", 0},
		{"not a number", "soon", self, 0},
		{"zero", "0", self, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("WATCHDOG_USEC", test.usec)
			t.Setenv("WATCHDOG_PID", test.pid)
			n := NewNotifier()
			if got := n.WatchdogInterval(); got != test.want {
				t.Errorf("interval %v, want %v", got, test.want)
			}
		})
	}
}

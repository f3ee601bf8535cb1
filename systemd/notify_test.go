package systemd

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
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
			var n Notifier
			steps := []error{
				n.Status("waiting for nf_conntrack"),
				n.Status("waiting for nf_conntrack"),
				n.Ready("3 settings in sync"),
				n.Status("3 settings in sync"),
				n.Ready(""),
				n.Status("two\nlines"),
				n.Status("two\nlines"),
				n.Watchdog(),
				n.Status(""),
				n.Status(""),
				n.Stopping(),
			}
			for i, err := range steps {
				if err != nil {
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
				"STOPPING=1",
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
	var n Notifier
	if err := n.Reloading(); err != nil {
		t.Fatal(err)
	}
	after := monotonicUSec(t)
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

func TestNotifyWithoutManager(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	var n Notifier
	for i, err := range []error{n.Ready("up"), n.Status("fine"), n.Reloading(), n.Watchdog(), n.Stopping()} {
		if err != nil {
			t.Errorf("call %d: %v", i, err)
		}
	}
}

func TestNotifyFailure(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	t.Setenv("NOTIFY_SOCKET", path)
	var n Notifier
	err := n.Status("fine")
	if err == nil || !strings.HasPrefix(err.Error(), "cannot notify systemd: ") {
		t.Errorf("error %v, want one that begins with: cannot notify systemd: ", err)
	}
	// A status that was not received is sent again.
	conn := manager(t, path)
	if err := n.Status("fine"); err != nil {
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
		{"on for any process", "500", "", 500 * time.Microsecond},
		{"on for another process", "30000000", "1", 0},
		{"not a number", "soon", self, 0},
		{"zero", "0", self, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("WATCHDOG_USEC", test.usec)
			t.Setenv("WATCHDOG_PID", test.pid)
			var n Notifier
			if got := n.WatchdogInterval(); got != test.want {
				t.Errorf("interval %v, want %v", got, test.want)
			}
		})
	}
}

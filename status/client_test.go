package status

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ctkeeper/ctkeeper/internal/netns"
	"github.com/ctkeeper/ctkeeper/reconcile"
)

// fake serves a socket until the test ends.
func fake(t *testing.T, answer http.HandlerFunc) *Client {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: answer}
	var group errgroup.Group
	group.Go(func() error { return server.Serve(listener) })
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if err := group.Wait(); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return NewClient(socket)
}

// endless writes begin, and then repeat until the client has gone.
func endless(begin, repeat string) http.HandlerFunc {
	repeat = strings.Repeat(repeat, 1+(64<<10)/len(repeat))
	return func(w http.ResponseWriter, _ *http.Request) {
		_, err := io.WriteString(w, begin)
		for err == nil {
			_, err = io.WriteString(w, repeat)
		}
	}
}

// A daemon of a version before conditions, problems and headline, whose table is full, is not shown as good.
func TestOlderDaemon(t *testing.T) {
	const answer = `{"daemon": {"running": true, "mode": "enforce", "config": {"ok": true}},
		"table": {"entries": 1000, "max": 1000, "levels": {"connections": "critical"}}}`
	c := fake(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, answer) })
	d, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := d.Headline, "The connection table is full: 1000 of 1000 entries"; got != want {
		t.Errorf("headline %q, want %q", got, want)
	}
	if len(d.Problems) != 1 || d.Problems[0].Severity != Critical {
		t.Errorf("problems %+v, want one that is critical", d.Problems)
	}
}

// TestAnswersWithoutEnd has daemons that answer for ever. The client stops at its limits, long before its time
// is over.
func TestAnswersWithoutEnd(t *testing.T) {
	ignore := func(reconcile.Event) error { return nil }
	events := func(follow bool) func(*Client) error {
		return func(c *Client) error { return c.Events(t.Context(), time.Time{}, follow, ignore) }
	}
	status := func(c *Client) error {
		_, err := c.Status(t.Context())
		return err
	}
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		ask    func(*Client) error
		want   string
	}{
		"document":    {endless(`{"api": "`, "x"), status, "more than 4194304 bytes"},
		"settings":    {endless(`{"settings": [{}`, ", {}"), status, "more than 4194304 bytes"},
		"event":       {endless(`{"kind": "`, "x"), events(false), "a line has more than 262144 bytes"},
		"events":      {endless("", "{}\n"), events(false), "it has more than 8192 lines"},
		"event later": {endless("{}\n", "x"), events(true), "a line has more than 262144 bytes"},
		"header": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 1<<20))
		}, status, "cannot ask the daemon"},
	} {
		t.Run(name, func(t *testing.T) {
			client := fake(t, test.answer)
			before := allocated()
			err := test.ask(client)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, want %q", err, test.want)
			}
			if took := allocated() - before; took > 64<<20 {
				t.Errorf("client and server allocated %d bytes", took)
			}
		})
	}
}

// allocated returns the bytes that were allocated so far, freed ones included.
func allocated() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.TotalAlloc
}

func TestEvents(t *testing.T) {
	for name, test := range map[string]struct {
		body, want string
		count      int
	}{
		"all":       {"{}\n{}\n", "", 2},
		"none":      {"", "", 0},
		"torn":      {"{}\n{", "the daemon went away", 1},
		"not JSON":  {"{}\nx\n", "cannot read the daemon's answer: invalid character 'x'", 1},
		"not event": {`{"at": 1}` + "\n", "cannot read the daemon's answer", 0},
	} {
		t.Run(name, func(t *testing.T) {
			client := fake(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, test.body) })
			count := 0
			err := client.Events(t.Context(), time.Time{}, false, func(reconcile.Event) error { count++; return nil })
			failed := (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want)
			if failed || count != test.count {
				t.Errorf("%d events and %v, want %d and %q", count, err, test.count, test.want)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	client := fake(t, endless("", "{}\n"))
	if err := client.Events(ctx, time.Time{}, true, nil); err != nil {
		t.Errorf("after the end of the context: %v", err)
	}
}

// TestForeignPeer has a fake daemon of another user in that user's directory, whom root asks.
func TestForeignPeer(t *testing.T) {
	const variable = "CTKEEPER_TEST_SOCKET"
	if socket := os.Getenv(variable); socket != "" { // the fake
		listener, err := net.Listen("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		for {
			if _, err := listener.Accept(); err != nil {
				t.Fatal(err)
			}
		}
	}
	netns.RequireRoot(t)
	const user = 1
	dir := t.TempDir()
	if err := errors.Join(os.Chown(dir, user, user), os.Chmod(filepath.Dir(dir), 0o711)); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	child := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^TestForeignPeer$")
	child.Env = append(os.Environ(), variable+"="+socket)
	child.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = child.Process.Kill(), child.Wait() })
	for begin := time.Now(); time.Since(begin) < 10*time.Second; time.Sleep(10 * time.Millisecond) {
		if conn, err := net.Dial("unix", socket); err == nil {
			_ = conn.Close()
			break
		}
	}
	_, err := NewClient(socket).Status(t.Context())
	if want := fmt.Sprintf("cannot ask the daemon: not ctkeeper: process %d of user 1 listens on %s; it is neither "+
		"root nor the service's user", child.Process.Pid, socket); err == nil || err.Error() != want {
		t.Errorf("a fake daemon: %v, want %s", err, want)
	}
}

// TestNotAllowed asks as a user who may not.
func TestNotAllowed(t *testing.T) {
	const variable = "CTKEEPER_TEST_FORBIDDEN"
	if socket := os.Getenv(variable); socket != "" { // that user
		err := NewClient(socket).Events(t.Context(), time.Time{}, false, nil)
		if err == nil || !strings.HasSuffix(err.Error(), "permission denied; root and the group ctkeeper may ask it") {
			t.Error(err)
		}
		return
	}
	netns.RequireRoot(t)
	child := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^TestNotAllowed$")
	child.Env = append(os.Environ(), variable+"="+filepath.Join(t.TempDir(), "closed", "s"))
	child.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1, Gid: 1}}
	if output, err := child.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
}

// TestPeer has users that may run the daemon, and those that may not.
func TestPeer(t *testing.T) {
	root := t.TempDir()
	socket := filepath.Join(root, "run/ctkeeper/ctkeeper.sock")
	if isTrusted(7, 8, socket) {
		t.Error("a foreign user is trusted where there is no service")
	}
	if err := os.MkdirAll(filepath.Join(root, "var/lib/ctkeeper"), 0o755); err != nil {
		t.Fatal(err)
	}
	service := uint32(os.Getuid())
	for peer, want := range map[uint32]bool{0: true, 8: true, service: true, service + 7: false} {
		if got := isTrusted(peer, 8, socket); got != want {
			t.Errorf("user %d is trusted: %t, want %t", peer, got, want)
		}
	}
	if service != 0 && isTrusted(service, 8, filepath.Join(root, "other.sock")) {
		t.Error("the service's user is trusted at another socket")
	}
}

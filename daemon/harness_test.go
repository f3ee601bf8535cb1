package daemon

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/host/buildinfo"
	"github.com/ctkeeper/ctkeeper/host/logging"
	"github.com/ctkeeper/ctkeeper/systemd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait; a wait that is met ends at once.
const patience = 10 * time.Second

// running is a daemon in this process.
type running struct {
	t        *testing.T
	root     string
	socket   string
	config   string // its main file
	logs     *observer.ObservedLogs
	notified *notifySocket
	cancel   context.CancelFunc
	done     chan struct{}
	err      error
}

// start runs the daemon below root until the test ends, and waits until it is
// ready or gone. Its main file holds yaml; empty is no file.
func start(t *testing.T, root, yaml string, change ...func(*Options)) *running {
	t.Helper()
	r := &running{t: t, root: root, notified: listenNotify(t), done: make(chan struct{})}
	source := config.Source{Root: root}
	if root == "" {
		source.Main = filepath.Join(t.TempDir(), "ctkeeper.yaml")
	}
	r.config = filepath.Join(root, sourceMain(source))
	if yaml != "" {
		write(t, r.config, yaml)
	}
	core, logs := observer.New(zapcore.InfoLevel)
	r.logs = logs
	r.socket = filepath.Join(t.TempDir(), "run", "ctkeeper.sock")
	opts := Options{
		Source: source, Log: logging.New(core), Notify: systemd.NewNotifier(), Socket: r.socket,
		Build: buildinfo.Build{Version: "test", Go: "go1.test"},
	}
	for _, f := range change {
		f(&opts)
	}
	var ctx context.Context
	ctx, r.cancel = context.WithCancel(context.Background())
	go func() {
		defer close(r.done)
		r.err = Run(ctx, opts)
	}()
	t.Cleanup(func() { _ = r.stop() })
	r.wait("ready", func() bool { return r.notified.has("READY=1") || r.ended() })
	return r
}

func sourceMain(s config.Source) string {
	if s.Main == "" {
		return config.DefaultMain
	}
	return s.Main
}

func (r *running) ended() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// stop ends the daemon and returns what Run did.
func (r *running) stop() error {
	r.cancel()
	<-r.done
	return r.err
}

// wait polls until cond holds.
func (r *running) wait(what string, cond func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			var lines []string
			for _, e := range r.logs.All() {
				lines = append(lines, e.Message)
			}
			r.t.Fatalf("%s: not within %s; the log:\n%s\nsystemd received:\n%s",
				what, patience, strings.Join(lines, "\n"), strings.Join(r.notified.all(), "\n"))
		}
	}
}

// events returns the CTKEEPER_EVENT kinds that were logged, in order.
func (r *running) events() []string {
	var kinds []string
	for _, e := range r.logs.All() {
		if kind, ok := e.ContextMap()[systemd.KeyEvent].(string); ok {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// logged reports whether any log message contains part.
func (r *running) logged(part string) bool {
	for _, e := range r.logs.All() {
		if strings.Contains(e.Message, part) {
			return true
		}
	}
	return false
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// notifySocket is systemd's end of sd_notify(3).
type notifySocket struct {
	conn *net.UnixConn
	mu   sync.Mutex
	got  []string
}

func listenNotify(t *testing.T) *notifySocket {
	t.Helper()
	// A socket's path is short: a test's own directory may be too long.
	dir, err := os.MkdirTemp("", "notify")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", path)
	n := &notifySocket{conn: conn}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for {
			size, err := conn.Read(buf)
			if err != nil {
				return
			}
			n.mu.Lock()
			n.got = append(n.got, string(buf[:size]))
			n.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
		_ = os.RemoveAll(dir)
	})
	return n
}

func (n *notifySocket) all() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string(nil), n.got...)
}

// has reports whether any message so far contains part.
func (n *notifySocket) has(part string) bool {
	for _, message := range n.all() {
		if strings.Contains(message, part) {
			return true
		}
	}
	return false
}

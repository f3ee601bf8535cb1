package daemon

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/host/logging"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
	"github.com/ctkeeper/ctkeeper/internal/netns"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/systemd"
)

// Of two daemons that start at once one runs, with its socket.
func TestTwoAtOnce(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	root := kerneltree.New(t)
	write(t, filepath.Join(root, config.DefaultMain), "settings: {max: 100000}\n")
	dir := t.TempDir()
	for n := range 30 {
		socket := filepath.Join(dir, "run", "s"+strconv.Itoa(n), "s")
		ctx, cancel := context.WithCancel(t.Context())
		up, ended := make(chan struct{}, 2), make(chan error, 2)
		for range 2 {
			go func() {
				ended <- Run(ctx, Options{
					Source: config.Source{Root: root}, Log: logging.NewNop(),
					Notify: systemd.NewNotifier(), Socket: socket,
					Started: func(status.Document) { up <- struct{}{} },
				})
			}()
		}
		if err := <-ended; err == nil || !strings.Contains(err.Error(), "another ctkeeper is running") {
			t.Fatalf("run %d: one ended with %v, want it to see the other", n, err)
		}
		<-up
		if _, err := status.NewClient(socket).Status(ctx); err != nil {
			t.Fatalf("run %d: the other's socket: %v", n, err)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Fatalf("run %d: the other ended with %v", n, err)
		}
	}
}

// A daemon whose socket does not answer, because its backlog is full, is running all the same.
func TestFullBacklog(t *testing.T) {
	root := kerneltree.New(t)
	first := start(t, root, "settings: {max: 100000}\n")
	// The socket of the same name with a backlog of one connection, which nobody accepts.
	if err := os.Remove(first.socket); err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Close(fd) }()
	err = errors.Join(syscall.Bind(fd, &syscall.SockaddrUnix{Name: first.socket}), syscall.Listen(fd, 0))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("unix", first.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	second := start(t, root, "", func(o *Options) { o.Socket = first.socket })
	if err := second.stop(); err == nil || !strings.Contains(err.Error(), "(pid "+strconv.Itoa(os.Getpid())+")") {
		t.Errorf("Run = %v, want it to name the first", err)
	}
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	core, logs := observer.New(zapcore.WarnLevel)
	lock := func(socket string) (*lockFile, error) {
		return (&Daemon{opts: Options{Socket: socket, Log: logging.New(core)}}).takeLock()
	}
	path := filepath.Join(dir, "run", lockName)
	first, err := lock(filepath.Join(dir, "run", "s"))
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != lockMode {
		t.Errorf("lock file %v (%v), want mode %o", info, err, lockMode)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := lock(filepath.Join(dir, "run", "s"))
	if err != nil {
		t.Fatalf("the lock of a daemon that has ended: %v", err)
	}
	_ = again.Close()

	other := filepath.Join(dir, "other")
	write(t, other, "a file of others")
	for name, put := range map[string]func(string) error{
		"link":      func(path string) error { return os.Symlink(other, path) },
		"hard link": func(path string) error { return os.Link(other, path) },
		"pipe":      func(path string) error { return syscall.Mkfifo(path, 0o600) },
	} {
		if err := errors.Join(os.Remove(path), put(path)); err != nil {
			t.Fatal(err)
		}
		if file, err := lock(filepath.Join(dir, "run", "s")); file != nil || err != nil || len(logs.TakeAll()) != 1 {
			t.Errorf("%s: lock %v, %v, want none, with a warning", name, file, err)
		}
	}
	if text, err := os.ReadFile(other); err != nil || string(text) != "a file of others" {
		t.Errorf("the file of others holds %q (%v)", text, err)
	}
	if file, err := lock("/dev/null/run/s"); file != nil || err != nil || len(logs.TakeAll()) != 1 {
		t.Errorf("no directory: lock %v, %v, want none, with a warning", file, err)
	}
}

// The service's user can open the lock file that root made, and nobody else can.
func TestLockOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to be another user")
	}
	const user = 12345
	dir := t.TempDir()
	path := filepath.Join(dir, lockName)
	if err := os.Chown(dir, user, user); err != nil {
		t.Fatal(err)
	}
	file, err := openLock(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); !ok || stat.Uid != user || info.Mode() != fs.FileMode(lockMode) {
		t.Errorf("the lock file is %v of %+v, want it of user %d", info.Mode(), info.Sys(), user)
	}

	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	asOther := func() error {
		ended := make(chan error)
		go func() {
			runtime.LockOSThread() // for good: the thread ends with another identity
			err := unix.Setfsuid(user + 1)
			if err == nil {
				_, err = (&Daemon{opts: Options{Socket: socket, Log: logging.NewNop()}}).takeLock()
			}
			ended <- err
		}()
		return <-ended
	}
	if err := asOther(); err != nil {
		t.Errorf("another user, no daemon: %v, want to run without the lock", err)
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	if err := asOther(); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "another ctkeeper") {
		t.Errorf("another user beside a daemon: %v, want an error that says what cannot be told", err)
	}
}

// TestSocketIsTheServices: the socket of root's daemon is of the lock's owner, which is the service's user.
func TestSocketIsTheServices(t *testing.T) {
	netns.RequireRoot(t)
	const user = 1234
	dir := t.TempDir()
	write(t, filepath.Join(dir, lockName), "")
	if err := os.Chown(filepath.Join(dir, lockName), user, user+1); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	listener, err := openSocket(path)
	if err != nil {
		t.Fatal(err)
	}
	var stat unix.Stat_t
	if err := errors.Join(unix.Lstat(path, &stat), listener.Close()); err != nil {
		t.Fatal(err)
	}
	if stat.Uid != user || stat.Gid != user+1 || stat.Mode != unix.S_IFSOCK|socketMode {
		t.Errorf("the socket is of user %d and group %d, mode %o", stat.Uid, stat.Gid, stat.Mode)
	}
}

package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/host/logging"
	"github.com/ctkeeper/ctkeeper/host/unixhttp"
)

const (
	// socketMode lets the members of the service's group read.
	socketMode = 0o660
	// maxClients bounds the connections at one time; more wait. Clients use file descriptors, which the
	// settings need too.
	maxClients = 32
	// acceptInterval bounds the requests in a second: each has its own connection.
	acceptInterval = 5 * time.Millisecond
)

// pacedListener accepts one connection in acceptInterval.
type pacedListener struct{ net.Listener }

// Accept implements net.Listener.
func (l pacedListener) Accept() (net.Conn, error) {
	time.Sleep(acceptInterval)
	return l.Listener.Accept()
}

// listen opens the status socket. Where it cannot be opened the listener is nil, and the daemon runs
// without it.
func (d *Daemon) listen() net.Listener {
	listener, err := openSocket(d.opts.Socket)
	if err != nil {
		d.opts.Log.Warn("status socket: running without it", logging.Error(err))
		return nil
	}
	return listener
}

func openSocket(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot replace the status socket: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("cannot make the status socket's directory: %w", err)
	}
	// By the umask: chmod(2) afterwards would follow a symbolic link that was put there.
	defer unix.Umask(unix.Umask(0o777 &^ socketMode))
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("cannot open the status socket: %w", err)
	}
	// Where root runs the daemon by hand, the service has to replace the socket after a crash, and its group reads
	// it. In a sticky directory only the owner may remove it.
	var lock unix.Stat_t
	if err := unix.Lstat(filepath.Join(filepath.Dir(path), lockName), &lock); err == nil {
		_ = os.Lchown(path, int(lock.Uid), int(lock.Gid)) // who may not do that is no root
	}
	return listener, nil
}

// serve serves the status socket until ctx ends: HTTP and JSON, read-only. Clients wait for the first pass:
// there is no state before it. A server that fails is logged and ends nothing else.
func (d *Daemon) serve(ctx context.Context, listener net.Listener) error {
	select {
	case <-ctx.Done():
		return errors.Join(ctx.Err(), listener.Close())
	case <-d.keeper.Ready():
	}
	server := unixhttp.Server{
		Handlers: d.handlers(), MaxClients: maxClients,
		Panicked: func(err error) { d.opts.Log.Error("status socket: no answer", logging.Error(err)) },
	}
	err := server.Serve(ctx, pacedListener{listener})
	if ctx.Err() == nil {
		d.opts.Log.Warn("status socket: running without it", logging.Error(err))
		return nil
	}
	return ctx.Err()
}

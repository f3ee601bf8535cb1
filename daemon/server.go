package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"
	"golang.org/x/net/netutil"
	"golang.org/x/sys/unix"
)

const (
	// socketMode lets the members of the service's group read.
	socketMode = 0o660
	// shutdownTimeout bounds how long open requests may take at the end.
	shutdownTimeout = 500 * time.Millisecond
	dialTimeout     = time.Second
	// maxClients bounds the connections at one time; more wait.
	maxClients = 32
	// writeTimeout is how long a client may take to read a document, or a line.
	writeTimeout = 5 * time.Second
	maxHeader    = 16 << 10
)

// server serves the status socket: HTTP and JSON, read-only.
type server struct {
	listener net.Listener
	http     http.Server
}

// listen opens the status socket. Where it cannot be opened the server is nil, and the daemon
// runs without it.
func (d *Daemon) listen() *server {
	listener, err := openSocket(d.opts.Socket)
	if err != nil {
		d.opts.Log.Warn("status socket: running without it", zap.Error(err))
		return nil
	}
	// Clients use file descriptors, which the settings need too: the number of clients is limited, and idle
	// ones are disconnected.
	return &server{
		listener: netutil.LimitListener(listener, maxClients),
		http: http.Server{
			Handler: d.handler(), MaxHeaderBytes: maxHeader, ReadHeaderTimeout: dialTimeout, IdleTimeout: dialTimeout,
		},
	}
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

// serve serves until ctx ends. A server that fails is logged and ends nothing else.
func (d *Daemon) serve(ctx context.Context, s *server) error {
	s.http.BaseContext = func(net.Listener) context.Context { return ctx }
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		late, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
		defer cancel()
		if s.http.Shutdown(late) != nil {
			_ = s.http.Close() // clients that still read have had their time
		}
	})
	err := s.http.Serve(s.listener)
	if stop() {
		_ = s.http.Close()
		d.opts.Log.Warn("status socket: running without it", zap.Error(err))
		return nil
	}
	<-stopped
	return ctx.Err()
}

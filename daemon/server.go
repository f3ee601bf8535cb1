package daemon

import (
	"context"
	"encoding/json"
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

	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/ui/page"
)

const (
	// socketMode lets the members of the service's group read.
	socketMode = 0o660
	// shutdownTimeout bounds how long open requests may take at the end.
	shutdownTimeout = 500 * time.Millisecond
	dialTimeout     = time.Second
	// maxClients bounds the connections at one time; more wait.
	maxClients = 32
	// writeTimeout is how long a client may take to read one event.
	writeTimeout = 5 * time.Second
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
		http:     http.Server{Handler: d.handler(true), ReadHeaderTimeout: dialTimeout, IdleTimeout: dialTimeout},
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
	return listener, nil
}

// serve serves until ctx ends. A server that fails is logged and ends nothing else.
func (d *Daemon) serve(ctx context.Context, s *server) error {
	s.http.BaseContext = func(net.Listener) context.Context { return ctx }
	err := serveUntil(ctx, &s.http, func() error { return s.http.Serve(s.listener) })
	if err != nil {
		d.opts.Log.Warn("status socket: running without it", zap.Error(err))
		return nil
	}
	return ctx.Err()
}

// serveUntil runs serve, which serves with the server, until ctx ends; it then shuts the server
// down and returns nil. The error is why serve ended before.
func serveUntil(ctx context.Context, server *http.Server, serve func() error) error {
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		late, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
		defer cancel()
		if server.Shutdown(late) != nil {
			_ = server.Close() // clients that still read have had their time
		}
	})
	err := serve()
	if stop() {
		_ = server.Close()
		return err
	}
	<-stopped
	return nil
}

// handler serves the document, the events, the metrics and the page. Everybody who can connect
// may read all of it; nothing can be changed. follow lets clients wait for new events.
func (d *Daemon) handler(follow bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+status.PathStatus, d.serveStatus)
	mux.HandleFunc("GET "+status.PathEvents,
		func(w http.ResponseWriter, r *http.Request) { d.serveEvents(w, r, follow) })
	mux.Handle("GET "+status.PathMetrics, d.metrics.Handler())
	mux.Handle("/", page.Handler(page.Source{
		Status: d.status, Events: d.recorder.history.since, Points: d.table.monitor.Points,
	}))
	return mux
}

func (d *Daemon) serveStatus(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_ = json.NewEncoder(w).Encode(d.status()) // an error means that the client has gone
}

// serveEvents streams events, one JSON object a line: those after since (RFC 3339), and with
// follow=true the new ones.
func (d *Daemon) serveEvents(w http.ResponseWriter, r *http.Request, mayFollow bool) {
	var since time.Time
	if text := r.FormValue("since"); text != "" {
		var err error
		if since, err = time.Parse(time.RFC3339Nano, text); err != nil {
			http.Error(w, "since is not an RFC 3339 time", http.StatusBadRequest)
			return
		}
	}
	follow := r.FormValue("follow") == "true"
	if follow && !mayFollow {
		http.Error(w, "follow is available on the status socket only", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	control := http.NewResponseController(w)
	flush := func() { _ = control.Flush() }
	out := json.NewEncoder(w)
	for e := range d.recorder.history.stream(r.Context(), since, follow, flush) {
		if control.SetWriteDeadline(time.Now().Add(writeTimeout)) != nil || out.Encode(e) != nil {
			return
		}
	}
}

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
	// socketMode lets the members of the service's group look.
	socketMode = 0o660
	// shutdownTime is what open requests get at the end.
	shutdownTime = 500 * time.Millisecond
	dialTime     = time.Second
	// maxClients may be connected at one time; more wait.
	maxClients = 32
	// writeTime is what a client gets to read a piece of its answer.
	writeTime = 5 * time.Second
)

// server answers on the status socket: HTTP and JSON, read-only.
type server struct {
	listener net.Listener
	http     http.Server
}

// listen opens the status socket. A daemon that answers there already is an
// error. Where the socket cannot be had the daemon works without it.
func (d *Daemon) listen() (*server, error) {
	path := d.opts.Socket
	switch conn, err := net.DialTimeout("unix", path, dialTime); {
	case err == nil:
		_ = conn.Close()
		return nil, fmt.Errorf("another ctkeeper is running: it answers on %s", path)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("another ctkeeper may be running, and this one may not ask it: %w", err)
	}
	listener, err := openSocket(path)
	if err != nil {
		d.opts.Log.Warn("working without a status socket", zap.Error(err))
		return nil, nil
	}
	// Whoever asks shares the descriptors with the settings: few, and none for ever.
	return &server{
		listener: netutil.LimitListener(listener, maxClients),
		http:     http.Server{Handler: d.handler(true), ReadHeaderTimeout: dialTime, IdleTimeout: dialTime},
	}, nil
}

func openSocket(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot replace the status socket: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("cannot make the status socket's directory: %w", err)
	}
	// Not by chmod(2) afterwards, which would follow a link that was put there.
	defer unix.Umask(unix.Umask(0o777 &^ socketMode))
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("cannot open the status socket: %w", err)
	}
	return listener, nil
}

// serve answers until ctx ends. A server that fails takes nothing along but
// itself.
func (d *Daemon) serve(ctx context.Context, s *server) error {
	if err := s.run(ctx); ctx.Err() == nil {
		d.opts.Log.Warn("working without a status socket", zap.Error(err))
		return nil
	}
	return ctx.Err()
}

// run serves until ctx ends, and takes the socket away.
func (s *server) run(ctx context.Context) error {
	s.http.BaseContext = func(net.Listener) context.Context { return ctx }
	stop := context.AfterFunc(ctx, func() {
		late, cancel := context.WithTimeout(context.Background(), shutdownTime)
		defer cancel()
		_ = s.http.Shutdown(late) // whoever still reads has had its time
	})
	defer stop()
	if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("cannot serve the status socket: %w", err)
	}
	return ctx.Err()
}

func (d *Daemon) status() status.Document {
	d.mu.Lock()
	cfg, refused := d.cfg, d.refused
	d.mu.Unlock()
	s := newDocument(d.opts.Source.Root, d.keeper.Report(), cfg)
	s.Table = newTable(d.table.look(time.Now()), d.table.monitor.State())
	s.Table.KernelMessages = d.messages.counted()
	s.Guard = d.guardian.report()
	s.Daemon.Running, s.Daemon.PID, s.Daemon.Since, s.Daemon.Version = true, os.Getpid(), d.since, d.opts.Version
	if refused != nil {
		s.Daemon.Config.OK, s.Daemon.Config.Error = false, refused.Error()
	}
	return s
}

// handler is what is served: all of it may be read by whoever is let in, and nothing can be
// changed by it. follow lets readers of the events wait for those to come.
func (d *Daemon) handler(follow bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+status.PathStatus, d.serveStatus)
	mux.HandleFunc("GET "+status.PathEvents, func(w http.ResponseWriter, r *http.Request) { d.serveEvents(w, r, follow) })
	mux.Handle("GET "+status.PathMetrics, d.metrics.Handler())
	mux.Handle("/", page.Handler(page.Source{
		Status: d.status,
		Events: d.recorder.history.after,
		Points: d.table.monitor.Points,
	}))
	return mux
}

func (d *Daemon) serveStatus(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_ = json.NewEncoder(w).Encode(d.status()) // the reader went away
}

// serveEvents streams events, one JSON object a line: those after since
// (RFC 3339), and with follow=true those to come.
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
		http.Error(w, "follow is for the status socket", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	control := http.NewResponseController(w)
	flush := func() { _ = control.Flush() }
	out := json.NewEncoder(w)
	for e := range d.recorder.history.since(r.Context(), since, follow, flush) {
		if control.SetWriteDeadline(time.Now().Add(writeTime)) != nil || out.Encode(e) != nil {
			return
		}
	}
}

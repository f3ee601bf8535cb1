package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"slices"
	"time"

	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/table"
)

// answers answers the requests on the status socket. One of them at a time is computed, so that many clients
// take at most one processor; writing to a client, who may be slow, holds up no other.
type answers struct {
	daemon *Daemon
	turn   chan struct{}
}

// handler serves the documents, the events and the points. Everybody who can connect may read all of
// them; nothing can be changed.
func (d *Daemon) handler() http.Handler {
	a := answers{d, make(chan struct{}, 1)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+status.PathStatus, a.document(func() any { return d.status() }))
	mux.HandleFunc("GET "+status.PathCounts, a.document(func() any { return d.counts() }))
	mux.HandleFunc("GET "+status.PathEvents, a.events)
	mux.HandleFunc("GET "+status.PathPoints, a.points)
	return mux
}

// encode appends to out, as one line of JSON, what build returns.
func (a answers) encode(ctx context.Context, out *bytes.Buffer, build func() any) error {
	select {
	case a.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-a.turn }()
	return json.NewEncoder(out).Encode(build())
}

// document serves what build returns.
func (a answers) document(build func() any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var out bytes.Buffer
		if err := a.encode(r.Context(), &out, build); err != nil {
			http.Error(w, "cannot encode the answer: "+err.Error(), http.StatusInternalServerError)
			return
		}
		setType(w, "application/json")
		if http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout)) == nil {
			_, _ = w.Write(out.Bytes()) // fails only if the client is gone
		}
	}
}

// events serves events, one a line: those after since (RFC 3339), and with follow=true the new ones.
func (a answers) events(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	serveLines(a, w, r, func(since time.Time) iter.Seq[json.RawMessage] {
		follow := r.FormValue("follow") == "true"
		return a.daemon.recorder.history.stream(r.Context(), since, follow, func() { _ = control.Flush() })
	})
}

// points serves the points of the table, one a line: those after since (RFC 3339).
func (a answers) points(w http.ResponseWriter, r *http.Request) {
	serveLines(a, w, r, func(since time.Time) iter.Seq[table.Point] {
		return slices.Values(a.daemon.table.monitor.Points(since))
	})
}

// serveLines serves what list returns for the time in since, each as one line of JSON.
func serveLines[T any](a answers, w http.ResponseWriter, r *http.Request, list func(since time.Time) iter.Seq[T]) {
	var since time.Time
	if text := r.FormValue("since"); text != "" {
		var err error
		if since, err = time.Parse(time.RFC3339Nano, text); err != nil {
			http.Error(w, "since is not an RFC 3339 time", http.StatusBadRequest)
			return
		}
	}
	setType(w, "application/x-ndjson")
	control := http.NewResponseController(w)
	var out bytes.Buffer
	for item := range list(since) {
		out.Reset()
		if a.encode(r.Context(), &out, func() any { return item }) != nil ||
			control.SetWriteDeadline(time.Now().Add(writeTimeout)) != nil {
			return
		}
		if _, err := w.Write(out.Bytes()); err != nil {
			return
		}
	}
}

func setType(w http.ResponseWriter, contentType string) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("X-Content-Type-Options", "nosniff")
}

package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"iter"
	"net/url"
	"slices"
	"time"

	"github.com/ctkeeper/ctkeeper/host/unixhttp"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/table"
)

// answers answers the requests on the status socket. One of them at a time is computed, so that many clients
// take at most one processor; writing to a client, who may be slow, holds up no other.
type answers struct {
	daemon *Daemon
	turn   chan struct{}
}

// handlers serve the documents, the events and the points. Everybody who can connect may read all of them;
// nothing can be changed.
func (d *Daemon) handlers() map[string]unixhttp.Handler {
	a := answers{d, make(chan struct{}, 1)}
	return map[string]unixhttp.Handler{
		status.PathStatus: a.document(func() any { return d.status() }),
		status.PathCounts: a.document(func() any { return d.counts() }),
		status.PathEvents: a.events,
		status.PathPoints: a.points,
	}
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
func (a answers) document(build func() any) unixhttp.Handler {
	return func(ctx context.Context, _ url.Values, answer *unixhttp.Answer) {
		var out bytes.Buffer
		if err := a.encode(ctx, &out, build); err != nil {
			answer.Fail(unixhttp.InternalError, "cannot encode the answer: "+err.Error())
			return
		}
		answer.Document("application/json", out.Bytes())
	}
}

// events serves events, one a line: those after since (RFC 3339), and with follow=true the new ones.
func (a answers) events(ctx context.Context, query url.Values, answer *unixhttp.Answer) {
	serveLines(ctx, a, query, answer, func(since time.Time) iter.Seq[json.RawMessage] {
		follow := query.Get("follow") == "true"
		return a.daemon.recorder.history.stream(ctx, since, follow, func() { _ = answer.Flush() })
	})
}

// points serves the points of the table, one a line: those after since (RFC 3339).
func (a answers) points(ctx context.Context, query url.Values, answer *unixhttp.Answer) {
	serveLines(ctx, a, query, answer, func(since time.Time) iter.Seq[table.Point] {
		return slices.Values(a.daemon.table.monitor.Points(since))
	})
}

// serveLines serves what list returns for the time in since, each as one line of JSON.
func serveLines[T any](ctx context.Context, a answers, query url.Values, answer *unixhttp.Answer,
	list func(since time.Time) iter.Seq[T],
) {
	var since time.Time
	if text := query.Get("since"); text != "" {
		var err error
		if since, err = time.Parse(time.RFC3339Nano, text); err != nil {
			answer.Fail(unixhttp.BadRequest, "since is not an RFC 3339 time")
			return
		}
	}
	answer.Stream("application/x-ndjson")
	var out bytes.Buffer
	for item := range list(since) {
		out.Reset()
		if a.encode(ctx, &out, func() any { return item }) != nil {
			return
		}
		if _, err := answer.Write(out.Bytes()); err != nil {
			return
		}
	}
}

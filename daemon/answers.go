package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/url"
	"slices"
	"time"

	"github.com/ctkeeper/ctkeeper/host/unixhttp"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/table"
)

const (
	// restShare: after an answer that took t to compute, the next one waits restShare × t, so that readers take at
	// most a fifth of a processor, and a repair finds it free.
	restShare = 4
	// linesAtOnce is how many lines of an answer are computed at once.
	linesAtOnce = 64
)

// answers answers the requests on the status socket. One of them at a time is computed; writing to a client, who
// may be slow, holds up no other.
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

// inTurn calls compute while no other answer is computed.
func (a answers) inTurn(ctx context.Context, compute func() error) error {
	select {
	case a.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	began := time.Now()
	err := compute()
	time.AfterFunc(restShare*time.Since(began), func() { <-a.turn })
	return err
}

// document serves what build returns.
func (a answers) document(build func() any) unixhttp.Handler {
	return func(ctx context.Context, _ url.Values, answer *unixhttp.Answer) {
		var out bytes.Buffer
		if err := a.inTurn(ctx, func() error { return json.NewEncoder(&out).Encode(build()) }); err != nil {
			answer.Fail(unixhttp.InternalError, "cannot encode the answer: "+err.Error())
			return
		}
		answer.Document("application/json", out.Bytes())
	}
}

// events serves events, one a line: those after since (RFC 3339), and with follow=true the new ones.
func (a answers) events(ctx context.Context, query url.Values, answer *unixhttp.Answer) {
	serveLines(ctx, a, query, answer, func(since time.Time, flush func()) iter.Seq[json.RawMessage] {
		return a.daemon.recorder.history.stream(ctx, since, query.Get("follow") == "true", flush)
	})
}

// points serves the points of the table, one a line: those after since (RFC 3339).
func (a answers) points(ctx context.Context, query url.Values, answer *unixhttp.Answer) {
	serveLines(ctx, a, query, answer, func(since time.Time, _ func()) iter.Seq[table.Point] {
		return slices.Values(a.daemon.table.monitor.Points(since))
	})
}

// serveLines serves what list returns for the time in since, each as one line of JSON. list may call flush before
// it waits for more.
func serveLines[T any](ctx context.Context, a answers, query url.Values, answer *unixhttp.Answer,
	list func(since time.Time, flush func()) iter.Seq[T],
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
	var items []T
	// send sends the items; it reports whether the client is still there.
	send := func() bool {
		if len(items) == 0 {
			return true
		}
		var out bytes.Buffer
		err := a.inTurn(ctx, func() (err error) {
			for _, item := range items {
				err = errors.Join(err, json.NewEncoder(&out).Encode(item))
			}
			return err
		})
		items = items[:0]
		if err == nil {
			_, err = answer.Write(out.Bytes())
		}
		return err == nil
	}
	flush := func() { _ = send() && answer.Flush() == nil } // where the client has gone, ctx ends
	for item := range list(since, flush) {
		if items = append(items, item); len(items) == linesAtOnce && !send() {
			return
		}
	}
	_ = send()
}

package term

import (
	"context"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
)

const (
	// watchEvery is the time between two looks while the daemon answers, lookEvery
	// that while it does not: every setting's file is then read.
	watchEvery = time.Second
	lookEvery  = 2 * time.Second
)

// looked is a message: what one look found.
type looked struct {
	at     time.Time
	status status.Document
	err    error
}

// happened is a message: one event.
type happened reconcile.Event

// feed tells the model what the source says.
type feed struct {
	source Source
	send   func(tea.Msg)
}

// watch looks again and again, until ctx ends.
func (f feed) watch(ctx context.Context) {
	for ctx.Err() == nil {
		var l looked
		l.status, l.err = f.source.Status(ctx)
		l.at = time.Now()
		f.send(l)
		every := lookEvery
		if l.status.Daemon.Running {
			every = watchEvery
		}
		wait(ctx, every)
	}
}

// listen follows the events until ctx ends. That there is no daemon to follow, or
// none any more, is what the looks tell.
func (f feed) listen(ctx context.Context) {
	for ctx.Err() == nil {
		_ = f.source.Events(ctx, func(e reconcile.Event) error {
			f.send(happened(e))
			return ctx.Err()
		})
		wait(ctx, lookEvery)
	}
}

// wait lets time pass, unless ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

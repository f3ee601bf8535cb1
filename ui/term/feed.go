package term

import (
	"context"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/table"
)

const (
	// daemonInterval is the time between two reads of the status from the daemon.
	daemonInterval = time.Second
	// kernelInterval is that without a daemon, when every setting's file is read.
	kernelInterval = 2 * time.Second
)

// statusMsg is the result of one read of the status.
type statusMsg struct {
	at     time.Time
	status status.Document
	err    error
}

// historyMsg is the daemon's points of the table, oldest first.
type historyMsg []table.Point

// eventMsg is one event.
type eventMsg reconcile.Event

// feed sends the status and the events of the source to the model.
type feed struct {
	source Source
	send   func(tea.Msg)
}

// pollStatus reads the status at intervals until ctx ends. The first time that a daemon answers it reads the points,
// too: they are older than what the view collects itself.
func (f feed) pollStatus(ctx context.Context) {
	hasHistory := false
	for ctx.Err() == nil {
		var m statusMsg
		m.status, m.err = f.source.Status(ctx)
		m.at = time.Now()
		f.send(m)
		if m.status.Daemon.Running && !hasHistory {
			points, err := f.source.Points(ctx)
			if hasHistory = err == nil; hasHistory {
				f.send(historyMsg(points))
			}
		}
		interval := kernelInterval
		if m.status.Daemon.Running {
			interval = daemonInterval
		}
		sleep(ctx, interval)
	}
}

// followEvents follows the events until ctx ends. Its errors are not shown: the status already shows that no daemon
// runs.
func (f feed) followEvents(ctx context.Context) {
	for ctx.Err() == nil {
		_ = f.source.Events(ctx, func(e reconcile.Event) error {
			f.send(eventMsg(e))
			return ctx.Err()
		})
		sleep(ctx, kernelInterval)
	}
}

// sleep returns after d, or when ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

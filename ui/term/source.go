package term

import (
	"context"
	"time"

	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/table"
)

// Source provides what the view shows.
type Source interface {
	// Status returns the document of the daemon or, where none runs, of the kernel. On an error the view keeps the
	// last document and shows the error.
	Status(ctx context.Context) (status.Document, error)
	// Points returns the daemon's points of the table, oldest first.
	Points(ctx context.Context) ([]table.Point, error)
	// Events calls each for the daemon's past events and then for new ones, until ctx ends or the daemon stops. The
	// next call continues after the last event.
	Events(ctx context.Context, each func(reconcile.Event) error) error
}

// Host is the source of a running view: the daemon and the kernel of a host.
type Host struct {
	// Read returns the status.
	Read func(ctx context.Context) (status.Document, error)
	// Daemon serves the events.
	Daemon *status.Client
	// lastEvent is the time of the last event that was passed on.
	lastEvent time.Time
}

// Status calls Read.
func (h *Host) Status(ctx context.Context) (status.Document, error) { return h.Read(ctx) }

// Points returns all points that the daemon has.
func (h *Host) Points(ctx context.Context) ([]table.Point, error) {
	return h.Daemon.Points(ctx, time.Time{})
}

// Events follows the daemon's events after the last one that was passed on.
func (h *Host) Events(ctx context.Context, each func(reconcile.Event) error) error {
	return h.Daemon.Events(ctx, h.lastEvent, true, func(e reconcile.Event) error {
		h.lastEvent = e.At
		return each(e)
	})
}

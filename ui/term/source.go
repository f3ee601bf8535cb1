package term

import (
	"context"
	"time"

	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
)

// Source is what the view shows.
type Source interface {
	// Status tells how things stand: as the daemon says or, where none runs, as the
	// kernel does. An error leaves what was shown before, and is shown.
	Status(ctx context.Context) (status.Document, error)
	// Events calls each for the events that the daemon remembers and then for those
	// to come, until ctx ends or the daemon does. Called again it goes on where it
	// was.
	Events(ctx context.Context, each func(reconcile.Event) error) error
}

// Host is the source that a daemon and the kernel are.
type Host struct {
	// Look is Status.
	Look func(ctx context.Context) (status.Document, error)
	// Daemon is asked for events.
	Daemon *status.Client
	// seen is when the last event was.
	seen time.Time
}

// Status is what Look tells.
func (h *Host) Status(ctx context.Context) (status.Document, error) { return h.Look(ctx) }

// Events are the daemon's, after the last one that was seen.
func (h *Host) Events(ctx context.Context, each func(reconcile.Event) error) error {
	return h.Daemon.Events(ctx, h.seen, true, func(e reconcile.Event) error {
		h.seen = e.At
		return each(e)
	})
}

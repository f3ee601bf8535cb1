package term

import (
	"context"
	"time"

	"github.com/ctkeeper/ctkeeper/daemon"
	"github.com/ctkeeper/ctkeeper/reconcile"
)

// Source is what the view shows.
type Source interface {
	// Status tells how things stand: as the daemon says or, where none runs, as the
	// kernel does. An error leaves what was shown before, and is shown.
	Status(ctx context.Context) (daemon.Status, error)
	// Events calls each for the events that the daemon remembers and then for those
	// to come, until ctx ends or the daemon does. Called again it goes on where it
	// was.
	Events(ctx context.Context, each func(reconcile.Event) error) error
}

// Host is the source that a daemon and the kernel are.
type Host struct {
	// Look is Status.
	Look func(ctx context.Context) (daemon.Status, error)
	// Daemon is asked for events.
	Daemon *daemon.Client
	// seen is when the last event was.
	seen time.Time
}

// Status is what Look tells.
func (h *Host) Status(ctx context.Context) (daemon.Status, error) { return h.Look(ctx) }

// Events are the daemon's, after the last one that was seen.
func (h *Host) Events(ctx context.Context, each func(reconcile.Event) error) error {
	return h.Daemon.Events(ctx, h.seen, true, func(e reconcile.Event) error {
		h.seen = e.At
		return each(e)
	})
}

package tui

import (
	"context"
	"io"

	"github.com/ctkeeper/ctkeeper/daemon"
	"github.com/ctkeeper/ctkeeper/reconcile"
)

// Source is what the view shows.
type Source interface {
	Status(ctx context.Context) (daemon.Status, error)
	// Events calls each for the events to come, until ctx ends or the daemon does.
	Events(ctx context.Context, each func(reconcile.Event) error) error
}

// Options say where to draw.
type Options struct {
	In     io.Reader
	Out    io.Writer
	Colour bool
}

// Run draws until q, ^C or the end of ctx.
func Run(ctx context.Context, source Source, opts Options) error { return nil }

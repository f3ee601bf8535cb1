package main

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/daemon"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/tui"
)

var (
	errNoTerminal = errors.New("--watch needs a terminal; for programs: ctkeeper events --follow -o json")
	errForPeople  = errors.New("--watch is for people and has no --output; for programs: ctkeeper events --follow -o json")
)

// watch is status --watch. However things stand, its exit status is 0.
func (a *app) watch(ctx context.Context) error {
	switch {
	case a.output != "table":
		return errForPeople
	case !isTerminal(a.stdout):
		return errNoTerminal
	}
	opts := tui.Options{Out: a.stdout, Colour: colourful(a.stdout), ASCII: !tui.UTF8(os.Getenv)}
	if term.IsTerminal(int(os.Stdin.Fd())) {
		opts.In = os.Stdin
	}
	if err := tui.Run(ctx, &watched{app: a}, opts); err != nil {
		return failure{exitNo, err}
	}
	return nil
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// watched is what status --watch shows.
type watched struct {
	app *app
	// seen is when the last event was.
	seen time.Time
}

// Status is that of ctkeeper status. A configuration that is refused is part of it.
func (w *watched) Status(ctx context.Context) (daemon.Status, error) {
	status, err := w.app.current(ctx)
	if refused := config.Errors(nil); errors.As(err, &refused) {
		return daemon.Status{
			Daemon: daemon.DaemonStatus{Config: daemon.ConfigStatus{Error: err.Error()}},
			Module: daemon.ModuleStatus{Name: kmod.Conntrack, State: kmod.Look(w.app.root, kmod.Conntrack).State},
			Table:  daemon.LookAtTable(w.app.root),
		}, nil
	}
	return status, err
}

// Events are those after the last one that was seen.
func (w *watched) Events(ctx context.Context, each func(reconcile.Event) error) error {
	client := daemon.NewClient(daemon.SocketPath(w.app.root))
	return client.Events(ctx, w.seen, true, func(e reconcile.Event) error {
		w.seen = e.At
		return each(e)
	})
}

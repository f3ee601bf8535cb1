package main

import (
	"context"
	"errors"
	"os"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/ui/term"
)

var (
	errNoTerminal = errors.New("--watch needs a terminal; programs can use ctkeeper events --follow -o json")
	errNoFormat   = errors.New("--watch has no --output; programs can use ctkeeper events --follow -o json")
)

// watch is status --watch. Its exit status is 0 whatever the state.
func (a *app) watch(ctx context.Context) error {
	switch {
	case a.output != "table":
		return errNoFormat
	case !isTerminal(a.stdout):
		return errNoTerminal
	}
	opts := term.Options{Out: a.stdout, Colour: colourful(a.stdout), ASCII: !term.UTF8(os.Getenv)}
	if a.root == "" {
		opts.Host, _ = os.Hostname() // empty where it is not known
	}
	if isTerminal(os.Stdin) {
		opts.In = os.Stdin
	}
	source := &term.Host{Read: a.watched, Daemon: status.NewClient(status.SocketPath(a.root))}
	if err := term.Run(ctx, source, opts); err != nil {
		return failure{exitNo, err}
	}
	return nil
}

// watched returns current's document. A refused configuration is part of it, not an error.
func (a *app) watched(ctx context.Context) (status.Document, error) {
	document, _, err := a.current(ctx)
	if refused := config.Errors(nil); errors.As(err, &refused) {
		err = nil
	}
	return document, err
}

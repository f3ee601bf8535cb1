package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/ctkeeper/ctkeeper/daemon"
	"github.com/ctkeeper/ctkeeper/status"
)

func (a *app) events() *cobra.Command {
	var follow bool
	var since string
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Show what happened: drifts, repairs, pressure on the table",
		Long: "Asks the daemon for its history: drifts, repairs, module loads, reloads of the configuration, pressure on the table.\n" +
			"Without a daemon it reads what the last one left, and says so.\n\n" +
			"Exit status: 0; 1 with --follow and no daemon.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			after, err := moment(since, time.Now())
			if err != nil {
				return err
			}
			return a.showEvents(cmd.Context(), after, follow)
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "wait for more, until interrupted")
	cmd.Flags().StringVar(&since, "since", "", "only after this `TIME`: "+momentForms)
	return cmd
}

func (a *app) showEvents(ctx context.Context, after time.Time, follow bool) error {
	socket := status.SocketPath(a.root)
	err := status.NewClient(socket).Events(ctx, after, follow, a.printer().Event)
	switch {
	case err == nil:
		return nil
	case !noDaemon(err):
		return failure{exitNo, err}
	}
	if err := a.showHistory(status.HistoryPath(a.root), after); err != nil {
		return failure{exitNo, err}
	}
	if follow {
		return failure{exitNo, fmt.Errorf("no daemon is running, so there is nothing to follow: nothing answers on %s", socket)}
	}
	return nil
}

// showHistory shows what the last daemon left.
func (a *app) showHistory(path string, after time.Time) error {
	events, foreign, err := daemon.ReadHistory(path)
	if errors.Is(err, fs.ErrNotExist) {
		_, _ = fmt.Fprintln(a.stderr, "ctkeeper: no daemon is running, and none has left a history")
		return nil
	}
	if err != nil {
		return fmt.Errorf("no daemon is running, and what the last one left cannot be read: %w", err)
	}
	_, _ = fmt.Fprintf(a.stderr, "ctkeeper: no daemon is running; this is what the last one left in %s\n", path)
	if foreign > 0 {
		_, _ = fmt.Fprintf(a.stderr, "ctkeeper: lines of it that are no events: %d\n", foreign)
	}
	for _, e := range events {
		if !e.At.After(after) {
			continue
		}
		if err := a.printer().Event(e); err != nil {
			return err
		}
	}
	return nil
}

// noDaemon reports whether err, of asking the daemon, says that there is none:
// no socket, or one that a daemon left behind.
func noDaemon(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

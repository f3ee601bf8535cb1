package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
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
		Short: "Show the history: drifts, repairs, pressure on the table",
		Long: "Shows the daemon's history: drifts, repairs, module loads, reloads of the configuration, " +
			"pressure on the table. Without a daemon it reads the history file that the last one wrote.",
		Example: "ctkeeper events --since today\n" +
			"ctkeeper events --follow -o json",
		Annotations: exits{0: "shown", 1: "the history cannot be read, or --follow without a daemon"}.annotations(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			after, err := parseTime(since, time.Now())
			if err != nil {
				return err
			}
			return a.showEvents(cmd.Context(), after, follow)
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "wait for new events, until interrupted")
	cmd.Flags().StringVar(&since, "since", "", "only events after this `TIME`: "+timeForms)
	return cmd
}

func (a *app) showEvents(ctx context.Context, after time.Time, follow bool) error {
	socket := status.SocketPath(a.root)
	err := status.NewClient(socket).Events(ctx, after, follow, a.printer().Event)
	switch {
	case err == nil:
		return nil
	case !status.IsNotRunning(err):
		return failure{exitNo, err}
	}
	if err := a.showHistory(status.HistoryPath(a.root), after); err != nil {
		return failure{exitNo, err}
	}
	if follow {
		return failure{exitNo, fmt.Errorf("no daemon is running, so that there is nothing to follow: nothing answers "+
			"on %s", socket)}
	}
	return nil
}

// showHistory shows the history file of the last daemon.
func (a *app) showHistory(path string, after time.Time) error {
	events, corrupt, err := daemon.ReadHistory(path)
	if errors.Is(err, fs.ErrNotExist) {
		_, _ = fmt.Fprintln(a.stderr, "ctkeeper: no daemon is running, and there is no history file")
		return nil
	}
	if err != nil {
		return fmt.Errorf("no daemon is running, and the last one's history is unreadable: %w", err)
	}
	_, _ = fmt.Fprintf(a.stderr, "ctkeeper: no daemon is running; this is the history file %s\n", path)
	if corrupt > 0 {
		_, _ = fmt.Fprintf(a.stderr, "ctkeeper: history: skipped %d corrupt lines\n", corrupt)
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

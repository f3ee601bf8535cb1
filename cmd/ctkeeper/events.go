package main

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/ctkeeper/ctkeeper/daemon"
)

func (a *app) events() *cobra.Command {
	var follow bool
	var since string
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Show what happened since the daemon started",
		Long: "Asks the daemon for its history: drifts, repairs, module loads, reloads of the configuration.\n\n" +
			"Exit status: 0; 1 no daemon is running.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			after, err := moment(since, time.Now())
			if err != nil {
				return err
			}
			socket := daemon.SocketPath(a.root)
			err = daemon.NewClient(socket).Events(cmd.Context(), after, follow, a.printer().Event)
			switch {
			case noDaemon(err):
				return failure{exitNo, fmt.Errorf("no daemon is running: nothing answers on %s", socket)}
			case err != nil:
				return failure{exitNo, err}
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "wait for more, until interrupted")
	cmd.Flags().StringVar(&since, "since", "", "only after this `TIME`: 2006-01-02 15:04:05, RFC 3339, or how long ago, as 10m")
	return cmd
}

// noDaemon reports whether err, of asking the daemon, says that there is none:
// no socket, or one that a daemon left behind.
func noDaemon(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

// moment reads a point in time, or how long it is before now.
func moment(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil {
		return now.Add(-ago.Abs()), nil
	}
	for _, layout := range []string{time.DateTime, "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t, nil
		}
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return t, fmt.Errorf("invalid argument %q for --since (a time as 2006-01-02 15:04:05, RFC 3339, or how long ago, as 10m)", text)
	}
	return t, nil
}

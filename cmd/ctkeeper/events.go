package main

import (
	"fmt"
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
		Long:  "Asks the daemon for its history: drifts, repairs, module loads, reloads of the configuration.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			after, err := moment(since, time.Now())
			if err != nil {
				return err
			}
			client := daemon.NewClient(daemon.SocketPath(a.root))
			if err := client.Events(cmd.Context(), after, follow, a.printer().Event); err != nil {
				return failure{exitNo, err}
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "wait for more, until interrupted")
	cmd.Flags().StringVar(&since, "since", "", "only after this `TIME`: 2006-01-02 15:04:05, RFC 3339, or how long ago, as 10m")
	return cmd
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

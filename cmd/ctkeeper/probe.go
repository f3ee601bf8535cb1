package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/ctkeeper/ctkeeper/host/printable"
	"github.com/ctkeeper/ctkeeper/status"
)

// probeTimeout is how long a probe waits for the daemon: kubelet's own default is a second.
const probeTimeout = time.Second

// probes are the flags of status by which a container is probed.
type probes struct{ ready, alive bool }

func (p *probes) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&p.ready, "ready", false, "readiness probe: 0 if the daemon answers within a second, and each "+
		"setting is in effect, waits for its module or is not in this kernel; or if the daemon observes")
	cmd.Flags().BoolVar(&p.alive, "alive", false, "liveness probe: 0 if the daemon answers within a second, whatever "+
		"the state of the settings")
	cmd.MarkFlagsMutuallyExclusive("ready", "alive", "watch", "brief")
}

// probe asks the daemon once and prints one line. An error ends with exitNo.
func (a *app) probe(ctx context.Context, p probes) error {
	if a.output != "table" || a.configSet() {
		return errors.New("--ready and --alive have no --output and no --config: they print one line, for people, of " +
			"the daemon")
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	daemon := status.NewClient(status.SocketPath(a.root))
	line, err := "alive", error(nil)
	if p.ready {
		line, err = probeReady(ctx, daemon)
	} else if _, err = daemon.Counts(ctx); err != nil {
		err = fmt.Errorf("not alive: %w", err)
	}
	if err != nil {
		return failure{exitNo, err}
	}
	_, _ = fmt.Fprintln(a.stdout, printable.Line(line)) // the exit status has the answer
	return nil
}

func probeReady(ctx context.Context, daemon *status.Client) (line string, err error) {
	d, err := daemon.Status(ctx)
	if err != nil {
		return "", fmt.Errorf("not ready: %w", err)
	}
	if why := d.NotReady(); why != "" {
		return "", fmt.Errorf("not ready: %s", why)
	}
	return "ready: " + status.SettingsText(d.Summary()), nil
}

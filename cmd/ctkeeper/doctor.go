package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/ctkeeper/ctkeeper/explain/doctor"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/status"
)

func (a *app) doctor() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Say what hinders nf_conntrack or its settings here, and what mends it",
		Long: "Looks at the module, the kernel's log, the firewall and every file that sets these values.\n" +
			"It changes nothing and loads nothing. Best run as root, who may see all of it; with --root\n" +
			"it examines a disk or a collected tree.\n\n" +
			"Exit status: 0 healthy; 1 problems found; 2 could not look.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			report, err := doctor.Examine(cmd.Context(), picture.Options{Root: a.root, Source: a.source(), Running: a.running})
			if err != nil {
				return failure{exitUnknown, err}
			}
			if err := a.printer().Doctor(report); err != nil {
				return failure{exitUnknown, err}
			}
			if !report.Healthy {
				return failure{status: exitNo}
			}
			return nil
		},
	}
}

// running reports whether a daemon is there. One that may not be asked is.
func (a *app) running(ctx context.Context) bool {
	_, err := status.NewClient(status.SocketPath(a.root)).Status(ctx)
	return err == nil || !noDaemon(err)
}

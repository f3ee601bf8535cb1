package main

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"github.com/ctkeeper/ctkeeper/explain/doctor"
	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
)

func (a *app) doctor() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Find what prevents nf_conntrack or its settings from working, and how to fix it",
		Long: "Examines the module, the kernel's log, the firewall and every file that sets these values.\n" +
			"It changes nothing and loads nothing. Run it as root, who can read everything; with --root\n" +
			"it examines a disk or a collected tree.\n\n" +
			"Exit status: 0 healthy; 1 problems found; 2 nothing could be examined;\n" +
			"78 the configuration is refused, which is one of the problems found.",
		Annotations: readsConfig(),
		Args:        cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			report, err := doctor.Examine(cmd.Context(),
				picture.Options{Root: a.root, Source: a.source(), Running: a.isRunning, Settings: a.daemonSettings})
			if err != nil {
				return failure{exitUnknown, err}
			}
			if err := a.printer().Doctor(report); err != nil {
				return failure{exitUnknown, err}
			}
			isRefused := func(f finding.Finding) bool { return f.ID == "config-refused" }
			switch {
			case slices.ContainsFunc(report.Findings, isRefused):
				return failure{status: exitConfig}
			case !report.Healthy:
				return failure{status: exitNo}
			}
			return nil
		},
	}
}

// daemonSettings returns what a running daemon reports of the settings.
func (a *app) daemonSettings(ctx context.Context) []reconcile.SettingStatus {
	document, _ := status.NewClient(status.SocketPath(a.root)).Status(ctx) // empty where none answers
	return document.Settings
}

// isRunning reports whether a daemon runs; one that this process may not ask does.
func (a *app) isRunning(ctx context.Context) bool {
	_, err := status.NewClient(status.SocketPath(a.root)).Status(ctx)
	return err == nil || !status.IsNotRunning(err)
}

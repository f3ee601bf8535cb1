package main

import (
	"context"
	"slices"
	"sync"

	"github.com/spf13/cobra"

	"github.com/ctkeeper/ctkeeper/explain/doctor"
	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/host/owner"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
)

// isKept reports whether a daemon keeps the settings of this network namespace, here or in a container.
func (a *app) isKept() bool {
	held, _ := owner.Held() // false where that is not known
	return held && a.host.Live()
}

func (a *app) doctor() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Find what is wrong with nf_conntrack and its settings",
		Long: "Examines the module, the kernel's log, the firewall and every file that sets these values. " +
			"It changes nothing and loads nothing. Run it as root, who can read everything. With --root " +
			"it examines a disk or a collected tree.",
		Example: "ctkeeper doctor\n" +
			"ctkeeper doctor --root /mnt  # the system on a mounted disk",
		Annotations: exits{
			0: "healthy", 1: "problems found", 2: "nothing could be examined",
			78: "the configuration is refused, which is one of the problems found",
		}.readsConfig(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			document := sync.OnceValues(func() (status.Document, error) { // asked once: an answer may take 5 s
				return status.NewClient(status.SocketPath(a.root)).Status(cmd.Context())
			})
			report, err := doctor.Examine(cmd.Context(), picture.Options{
				Source: a.source(),
				Running: func(context.Context) bool { // one that this process may not ask runs, and a pod's, too
					_, err := document()
					return err == nil || !status.IsNotRunning(err) || a.isKept()
				},
				Settings: func(context.Context) []reconcile.SettingStatus {
					d, _ := document() // empty where no daemon answers
					return d.Settings
				},
			})
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

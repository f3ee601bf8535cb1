package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ctkeeper/ctkeeper/daemon"
	"github.com/ctkeeper/ctkeeper/host/printable"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
)

func (a *app) apply() *cobra.Command {
	return &cobra.Command{
		Use:   "apply",
		Short: "Apply the settings once",
		Long: "Makes one pass without a daemon, for boot scripts and init containers. Loads nf_conntrack " +
			"first if module.load is on. If a running daemon wants other values it will write those again, " +
			"and apply warns.",
		Example: "ctkeeper apply\n" +
			"ctkeeper apply --config /root/new.yaml  # these values, once",
		Annotations: exits{0: "every setting that this kernel has is applied", 1: "a setting is not applied"}.
			readsConfig(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := a.logger()
			if err != nil {
				return err
			}
			cfg, err := a.loadToWrite()
			if err != nil {
				return err
			}
			document := daemon.Apply(cmd.Context(), a.host, cfg, log)
			if err := a.printer().Applied(document); err != nil {
				return failure{exitNo, err}
			}
			a.warnOfDaemon(cmd.Context(), document.Settings)
			if document.Differs() || document.IsUncertain() {
				return failure{status: exitNo}
			}
			return nil
		},
	}
}

// warnOfDaemon prints which of the applied settings a running daemon wants otherwise.
func (a *app) warnOfDaemon(ctx context.Context, applied []reconcile.SettingStatus) {
	running, err := status.NewClient(status.SocketPath(a.root)).Status(ctx)
	switch {
	case err != nil && status.IsNotRunning(err):
	case err != nil:
		_, _ = fmt.Fprintf(a.stderr, "ctkeeper: a running daemon may want other values: %s\n",
			printable.Line(err.Error()))
	case running.Daemon.Mode == reconcile.Enforce:
		if other := otherWants(running.Settings, applied); len(other) > 0 {
			_, _ = fmt.Fprintf(a.stderr, "ctkeeper: the running daemon (pid %d) wants other values "+
				"and will write them again: %s; its configuration is %s\n",
				running.Daemon.PID, printable.Line(strings.Join(other, ", ")), printable.Line(configFiles(running)))
		}
	}
}

// otherWants renders the settings of a daemon whose want differs from what was applied.
func otherWants(daemon, applied []reconcile.SettingStatus) []string {
	wants := map[string]reconcile.SettingStatus{}
	for _, s := range applied {
		wants[s.Name] = s
	}
	var out []string
	for _, s := range daemon {
		if here, found := wants[s.Name]; found && (here.Policy != s.Policy || here.Want != s.Want) {
			out = append(out, fmt.Sprintf("%s (daemon %s %s, applied %s %s)", s.Name, s.Policy, s.Want,
				here.Policy, here.Want))
		}
	}
	return out
}

// configFiles renders the files of a daemon's configuration.
func configFiles(d status.Document) string {
	if len(d.Daemon.Config.Files) == 0 {
		return "the embedded default"
	}
	return strings.Join(d.Daemon.Config.Files, ", ")
}

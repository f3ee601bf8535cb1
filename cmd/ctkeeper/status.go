package main

import (
	"context"
	"errors"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/ctkeeper/ctkeeper/daemon"
)

func (a *app) status() *cobra.Command {
	watch := false
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show settings, module, table and last drifts",
		Long: "Asks the daemon; without one it asks the kernel, and says so.\n\n" +
			"Exit status: 0 nothing differs; 1 something does; 2 could not tell,\n" +
			"or the daemon has refused the newest configuration. With --watch: 0.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if watch {
				return a.watch(cmd.Context())
			}
			status, err := a.current(cmd.Context())
			if err != nil {
				return failure{exitUnknown, err}
			}
			if err := a.printer().Status(status); err != nil {
				return failure{exitUnknown, err}
			}
			return verdict(status)
		},
	}
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "keep showing it on a terminal, until q")
	return cmd
}

// current is how things stand: as the daemon says or, without one, as the kernel
// does. The error says that the configuration was refused.
func (a *app) current(ctx context.Context) (daemon.Status, error) {
	status, err := daemon.NewClient(daemon.SocketPath(a.root)).Status(ctx)
	if err != nil {
		cfg, lerr := a.source().Load()
		if lerr != nil {
			return status, lerr
		}
		status = daemon.Look(a.root, cfg)
		if !noDaemon(err) {
			status.Daemon.Error = err.Error()
		}
		if errors.Is(err, fs.ErrPermission) {
			status.Daemon.Error += "; root and the group ctkeeper may ask it"
		}
	}
	status.Table.LookAgain(a.root)
	status.Module.LookAgain(a.root)
	return status, nil
}

package main

import (
	"errors"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/ctkeeper/ctkeeper/daemon"
	"github.com/ctkeeper/ctkeeper/table"
)

func (a *app) status() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show settings, module, table and last drifts",
		Long: "Asks the daemon; without one it asks the kernel, and says so.\n\n" +
			"Exit status: 0 nothing differs; 1 something does; 2 could not tell,\n" +
			"or the daemon has refused the newest configuration.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			status, err := daemon.NewClient(daemon.SocketPath(a.root)).Status(cmd.Context())
			if err != nil {
				cfg, lerr := a.source().Load()
				if lerr != nil {
					return failure{exitUnknown, lerr}
				}
				status = daemon.Look(a.root, cfg)
				if !noDaemon(err) {
					status.Daemon.Error = err.Error()
				}
				if errors.Is(err, fs.ErrPermission) {
					status.Daemon.Error += "; root and the group ctkeeper may ask it"
				}
			}
			if status.Table.Expectations == nil { // the daemon may not read them, root may
				status.Table.Expectations = table.Read(a.root).Expectations
			}
			status.Module.LookAgain(a.root)
			if err := a.printer().Status(status); err != nil {
				return failure{exitUnknown, err}
			}
			return verdict(status)
		},
	}
}

package main

import (
	"context"
	"errors"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/ctkeeper/ctkeeper/daemon"
	"github.com/ctkeeper/ctkeeper/status"
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
			document, err := a.current(cmd.Context())
			if err != nil {
				return failure{exitUnknown, err}
			}
			if err := a.printer().Status(document); err != nil {
				return failure{exitUnknown, err}
			}
			return verdict(document)
		},
	}
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "keep showing it on a terminal, until q")
	return cmd
}

// current is how things stand: as the daemon says or, without one, as the kernel
// does. The error says that the configuration was refused.
func (a *app) current(ctx context.Context) (status.Document, error) {
	document, err := status.NewClient(status.SocketPath(a.root)).Status(ctx)
	if err != nil {
		cfg, lerr := a.source().Load()
		if lerr != nil {
			return document, lerr
		}
		document = daemon.Inspect(a.root, cfg)
		if !noDaemon(err) {
			document.Daemon.Error = err.Error()
		}
		if errors.Is(err, fs.ErrPermission) {
			document.Daemon.Error += "; root and the group ctkeeper may ask it"
		}
	}
	daemon.FillUnknown(&document, a.root)
	return document, nil
}

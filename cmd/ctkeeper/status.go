package main

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/ctkeeper/ctkeeper/daemon"
)

func (a *app) status() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show settings, module, table and last drifts",
		Long: "Asks the daemon; without one it asks the kernel, and says so.\n\n" +
			"Exit status: 0 nothing differs; 1 something does; 2 could not tell.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			status, err := daemon.NewClient(daemon.SocketPath(a.root)).Status(cmd.Context())
			if err != nil {
				switch {
				case errors.Is(err, fs.ErrPermission):
					_, _ = fmt.Fprintf(a.stderr, "ctkeeper: %v\nctkeeper: root and the group ctkeeper may ask the daemon; asking the kernel\n", err)
				case !noDaemon(err):
					_, _ = fmt.Fprintf(a.stderr, "ctkeeper: %v\nctkeeper: asking the kernel\n", err)
				}
				cfg, err := a.source().Load()
				if err != nil {
					return failure{exitUnknown, err}
				}
				status = daemon.Look(a.root, cfg)
			}
			if err := a.printer().Status(status); err != nil {
				return failure{exitUnknown, err}
			}
			return verdict(status)
		},
	}
}

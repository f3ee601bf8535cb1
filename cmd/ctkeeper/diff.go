package main

import (
	"github.com/spf13/cobra"

	"github.com/ctkeeper/ctkeeper/daemon"
	"github.com/ctkeeper/ctkeeper/status"
)

func (a *app) diff() *cobra.Command {
	return &cobra.Command{
		Use:   "diff",
		Short: "Show what a pass would write; write nothing",
		Long: "Holds the configuration against the kernel.\n\n" +
			"Exit status: 0 nothing differs; 1 something does; 2 could not tell.",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			cfg, err := a.source().Load()
			if err != nil {
				return failure{exitUnknown, err}
			}
			document := daemon.Inspect(a.root, cfg)
			if err := a.printer().Diff(document); err != nil {
				return failure{exitUnknown, err}
			}
			return verdict(document)
		},
	}
}

// verdict is the exit status of diff and status.
func verdict(s status.Document) error {
	switch {
	case s.Differs(), s.Module.NeedsReload():
		return failure{status: exitNo}
	case s.IsUncertain():
		return failure{status: exitUnknown}
	}
	return nil
}

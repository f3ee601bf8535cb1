package main

import (
	"github.com/spf13/cobra"

	"github.com/ctkeeper/ctkeeper/daemon"
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
			status := daemon.Look(a.root, cfg)
			if err := a.printer().Diff(status); err != nil {
				return failure{exitUnknown, err}
			}
			return verdict(status)
		},
	}
}

// verdict is the exit status of diff and status.
func verdict(s daemon.Status) error {
	switch {
	case s.Differs(), s.Module.NeedsReload():
		return failure{status: exitNo}
	case s.Unsure():
		return failure{status: exitUnknown}
	}
	return nil
}

package main

import (
	"github.com/spf13/cobra"

	"github.com/ctkeeper/ctkeeper/daemon"
	"github.com/ctkeeper/ctkeeper/status"
)

// differs is the meaning of exit status 1 of diff and status.
const differs = "a setting differs, or a parameter needs a reload of the module"

func (a *app) diff() *cobra.Command {
	return &cobra.Command{
		Use:   "diff",
		Short: "Show what a pass would write, without writing it",
		Long:  "Compares the configuration with the kernel, and shows what each value costs in memory.",
		Example: "ctkeeper diff\n" +
			"ctkeeper diff --config /root/new.yaml  # before it is put in place",
		Annotations: exits{0: "nothing differs", 1: differs, 2: "a state is not known"}.readsConfig(),
		RunE: func(*cobra.Command, []string) error {
			cfg, err := a.load()
			if err != nil {
				return err
			}
			document := daemon.Inspect(a.host, cfg)
			if err := a.printer().Diff(document); err != nil {
				return failure{exitUnknown, err}
			}
			return exitStatus(document)
		},
	}
}

// exitStatus returns the failure that diff and status end with, or nil.
func exitStatus(d status.Document) error {
	switch {
	case !d.Daemon.Config.OK:
		return failure{status: exitConfig}
	case d.Differs(), d.Module.NeedsReload():
		return failure{status: exitNo}
	case d.IsUncertain():
		return failure{status: exitUnknown}
	}
	return nil
}

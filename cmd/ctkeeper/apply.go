package main

import (
	"github.com/spf13/cobra"

	"github.com/ctkeeper/ctkeeper/daemon"
)

func (a *app) apply() *cobra.Command {
	return &cobra.Command{
		Use:   "apply",
		Short: "Make one pass now, then end",
		Long: "For boot scripts and init containers. Loads nf_conntrack first where module.load asks for it.\n\n" +
			"Exit status: 0 all that this kernel has is in force; 1 something is not, and it says what.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := a.logger()
			if err != nil {
				return err
			}
			cfg, err := a.source().Load()
			if err != nil {
				return failure{exitNo, err}
			}
			document := daemon.Apply(cmd.Context(), a.root, cfg, log)
			if err := a.printer().Applied(document); err != nil {
				return failure{exitNo, err}
			}
			if document.Differs() || document.IsUncertain() {
				return failure{status: exitNo}
			}
			return nil
		},
	}
}

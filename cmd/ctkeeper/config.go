package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (a *app) config() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Show or check the configuration",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return fmt.Errorf("a command is missing: show or check")
		},
	}
	cmd.AddCommand(a.configShow(), a.configCheck())
	return cmd
}

func (a *app) configShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show",
		Short: "Print the merged configuration, and where each value comes from",
		Long:  "Exit status: 0; 78 the configuration is refused.",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			cfg, err := a.source().Load()
			if err != nil {
				return failure{exitConfig, err}
			}
			if err := a.printer().Config(cfg); err != nil {
				return failure{exitNo, err}
			}
			return nil
		},
	}
}

func (a *app) configCheck() *cobra.Command {
	return &cobra.Command{
		Use:   "check [FILE...]",
		Short: "Say what is wrong with the configuration, or with single files",
		Long: "Without FILE it checks what the daemon would read. Each FILE is checked alone.\n\n" +
			"Exit status: 0; 78 something is wrong.",
		RunE: func(_ *cobra.Command, files []string) error {
			warnings, err := a.source().Check(files...)
			for _, warning := range warnings {
				_, _ = fmt.Fprintln(a.stderr, "warning:", warning)
			}
			if a.output != "table" {
				if perr := a.printer().Problems(warnings, err); perr != nil {
					return failure{exitNo, perr}
				}
			} else if err != nil {
				_, _ = fmt.Fprintln(a.stderr, err)
			}
			if err != nil {
				return failure{status: exitConfig}
			}
			return nil
		},
	}
}

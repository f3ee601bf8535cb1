package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

func (a *app) config() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Show or check the configuration",
	}
	cmd.AddCommand(a.configShow(), a.configCheck())
	return cmd
}

func (a *app) configShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show",
		Short: "Print the merged configuration with the file and line of each value",
		Example: "ctkeeper config show\n" +
			"ctkeeper config show -o json",
		Annotations: exits{0: "printed", 1: "not printed"}.readsConfig(),
		RunE: func(*cobra.Command, []string) error {
			cfg, err := a.load()
			if err != nil {
				return err
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
		Short: "Check the configuration, or single files",
		Long:  "Without FILE it checks what the daemon would read. Each FILE is checked alone, without --config.",
		Example: "ctkeeper config check\n" +
			"ctkeeper config check /root/new.yaml  # before it is put in place",
		Annotations: exits{0: "valid"}.readsConfig(),
		RunE: func(_ *cobra.Command, files []string) error {
			if len(files) > 0 && a.configSet() {
				return errors.New("config check FILE checks each FILE alone: leave --config out")
			}
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

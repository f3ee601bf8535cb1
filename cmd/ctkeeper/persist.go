package main

import (
	"context"
	"fmt"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/persist"
)

func (a *app) persist() *cobra.Command {
	var opts persist.Options
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "persist",
		Short: "Write the files that make the next boot come up right",
		Long: "Writes " + persist.ModprobePath + ", and " + persist.ModulesLoadPath + " where module.load asks for it,\n" +
			"and then loads nf_conntrack where that asks for it. It writes no file of anybody else's.\n" +
			"What --sysconfig and --udev wrote is kept up to date without them, too.\n\n" +
			"Exit status: 0; 1 something could not be written or was left out, the module could not be loaded,\n" +
			"or the configuration is refused, and then nothing is changed.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg := &config.Config{}
			if !opts.Remove { // which has to work whatever the configuration says
				var err error
				if cfg, err = a.source().Load(); err != nil {
					return failure{exitNo, err}
				}
			}
			return a.persisted(cmd.Context(), cfg, opts, dryRun)
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "print what would change, as a unified diff, and change nothing")
	cmd.Flags().BoolVar(&opts.Remove, "remove", false, "take back every file that ctkeeper persist wrote")
	cmd.Flags().BoolVar(&opts.Sysconfig, "sysconfig", false, "for init systems that know no modules-load.d: write "+persist.SysconfigPath+" in its place")
	cmd.Flags().BoolVar(&opts.Udev, "udev", false, "also write a udev rule and a sysctl.d file (systemd 243 or newer), for when the daemon is not running")
	cmd.MarkFlagsMutuallyExclusive("remove", "sysconfig")
	cmd.MarkFlagsMutuallyExclusive("remove", "udev")
	return cmd
}

// persisted makes a plan, carries it out and tells about it.
func (a *app) persisted(ctx context.Context, cfg *config.Config, opts persist.Options, dryRun bool) error {
	host := tree.At(a.root)
	var errs []error
	plan, err := persist.NewPlan(host, cfg, opts)
	errs = append(errs, err)
	if cfg.Mode == config.Observe && !dryRun && plan.Diff() != "" {
		plan.Files = nil
		plan.Notes = append(plan.Notes, "the boot files are left as they are, since enforcement.mode is observe; --dry-run shows what they should be")
	}
	var changed []string
	loaded := false
	if !dryRun {
		// The unit's mask is the daemon's: directories that are made here are for all.
		defer syscall.Umask(syscall.Umask(0o022))
		changed, err = plan.Write(host)
		errs = append(errs, err)
		// After writing: it is to be loaded with these very options.
		if cfg.Module.Load && a.root == "" && kmod.Observe(a.root, kmod.Conntrack).State == kmod.Absent {
			err = kmod.Load(ctx, a.root, kmod.Conntrack)
			errs, loaded = append(errs, err), err == nil
		}
	}
	report := plan.Report(changed, dryRun)
	report.Loaded = loaded
	for _, err := range errs {
		if err != nil {
			report.Errors = append(report.Errors, strings.Split(err.Error(), "\n")...)
		}
	}
	for _, note := range report.Notes {
		_, _ = fmt.Fprintln(a.stderr, "note:", note)
	}
	for _, text := range report.Errors {
		_, _ = fmt.Fprintln(a.stderr, "ctkeeper:", text)
	}
	if err := a.printer().Persist(report); err != nil {
		return failure{exitNo, err}
	}
	if len(report.Errors) > 0 {
		return failure{status: exitNo}
	}
	return nil
}

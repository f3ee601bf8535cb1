package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/host/printable"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/persist"
	"github.com/ctkeeper/ctkeeper/reconcile"
)

func (a *app) persist() *cobra.Command {
	var opts persist.Options
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "persist",
		Short: "Write the boot files, for the settings at the next boot",
		Long: "Writes " + persist.ModprobePath + " and, if module.load is on, " + persist.ModulesLoadPath + ", " +
			"and then loads nf_conntrack if module.load is on. It writes no file of another owner. " +
			"Files that --sysconfig and --udev wrote before are updated without the flags, too.",
		Example: "ctkeeper persist --dry-run\n" +
			"ctkeeper persist",
		Annotations: exits{
			0:  "written",
			1:  "something could not be written or was left out, or the module could not be loaded",
			78: "the configuration is refused, and nothing is changed",
		}.readsConfig(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg := &config.Config{}
			switch {
			case opts.Remove && (opts.Sysconfig || opts.Udev):
				return errors.New("--remove removes what --sysconfig and --udev wrote, too: leave these out")
			case !opts.Remove:
				var err error
				if cfg, err = a.loadToWrite(); err != nil {
					return err
				}
			case a.configSet(): // removing works with any configuration, so it reads none
				return errors.New("persist --remove does not read the configuration: leave --config out")
			}
			return a.writeBootFiles(cmd.Context(), cfg, opts, dryRun)
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "print what would change, as a unified diff, and change nothing")
	cmd.Flags().BoolVar(&opts.Remove, "remove", false, "remove every file that ctkeeper persist wrote")
	cmd.Flags().BoolVar(&opts.Sysconfig, "sysconfig", false,
		"for init systems without modules-load.d: write "+persist.SysconfigPath+" instead")
	cmd.Flags().BoolVar(&opts.Udev, "udev", false,
		"also write a udev rule and a sysctl.d file (systemd 243 or newer), for times when the daemon does not run")
	return cmd
}

// writeBootFiles plans the boot files, writes them and prints a report.
func (a *app) writeBootFiles(ctx context.Context, cfg *config.Config, opts persist.Options, dryRun bool) error {
	host := a.host
	var errs []error
	plan, err := persist.NewPlan(host, cfg, opts)
	errs = append(errs, err)
	if cfg.Mode == reconcile.Observe && !dryRun && plan.Diff() != "" {
		plan.Files = nil
		plan.Notes = append(plan.Notes, "the boot files are not changed, because enforcement.mode is observe; "+
			"--dry-run shows what would change")
	}
	var changed []string
	loaded := false
	if !dryRun {
		// The unit's umask is for the daemon's files; directories made here are for everybody.
		defer syscall.Umask(syscall.Umask(0o022))
		changed, err = plan.Write(host)
		errs = append(errs, err)
		// After writing, so that the module is loaded with these options.
		if cfg.Module.Load && a.root == "" && kmod.Observe(a.host, kmod.Conntrack).State == kmod.Absent {
			err = kmod.Load(ctx, a.host, kmod.Conntrack)
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
		_, _ = fmt.Fprintln(a.stderr, "note:", printable.Line(note))
	}
	for _, text := range report.Errors {
		_, _ = fmt.Fprintln(a.stderr, "ctkeeper:", printable.Line(text))
	}
	if err := a.printer().Persist(report); err != nil {
		return failure{exitNo, err}
	}
	if len(report.Errors) > 0 {
		return failure{status: exitNo}
	}
	return nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/guard/setup"
	"github.com/ctkeeper/ctkeeper/host/command"
	"github.com/ctkeeper/ctkeeper/host/printable"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/ui/text"
)

const (
	unitName = "ctkeeper.service"
	// systemctlTimeout is more than TimeoutStopSec= and TimeoutStartSec= of the unit together.
	systemctlTimeout = 45 * time.Second
	// guardTimeout is how long a started daemon may take until its guard is in effect.
	guardTimeout = 10 * time.Second
)

func (a *app) guard() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "guard",
		Short: "Turn the guard on or off, which reports and blocks writers",
	}
	cmd.AddCommand(a.guardOn(), a.guardOff(), a.guardStatus())
	return cmd
}

func (a *app) guardOn() *cobra.Command {
	var perfmon, dryRun bool
	cmd := &cobra.Command{
		Use:   "on [watch|hold|lock]",
		Short: "Give the service the guard's capabilities and the configuration its mode",
		Long: "Writes drop-ins for the unit and the configuration, restarts the service, and waits until the guard " +
			"is in effect; if it cannot be, everything is put back. Without a mode it uses the configured one, " +
			"or watch. watch names every writer, hold lets foreign writes succeed and changes nothing, lock " +
			"refuses them. See ctkeeper-guard(7).",
		Example: "ctkeeper guard on --dry-run  # show files and commands\n" +
			"ctkeeper guard on hold",
		Annotations: exits{
			0: "the guard is in effect", 1: "it cannot be, or something could not be written; nothing is changed",
			78: "the configuration is refused, and nothing is changed",
		}.annotations(),
		ValidArgs: guardModes(),
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 && !slices.Contains(guardModes(), args[0]) {
				return fmt.Errorf("unknown mode %q%s", args[0],
					hint(args[0], guardModes(), strings.Join(guardModes(), ", ")))
			}
			return hasNone(cmd, args[min(1, len(args)):])
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var opts setup.Options
			if len(args) > 0 {
				opts.Mode = config.GuardMode(args[0])
			}
			if cmd.Flags().Changed("perfmon") {
				opts.Perfmon = &perfmon
			}
			return a.setGuard(cmd.Context(), opts, dryRun)
		},
	}
	cmd.Flags().BoolVar(&perfmon, "perfmon", false, "also give CAP_PERFMON: hold and lock then apply to timeouts, and "+
		"who loads the module is named; with it the daemon could read the kernel's memory")
	addDryRun(cmd, &dryRun)
	return cmd
}

// guardModes are the modes that the guard can be turned on with.
func guardModes() []string {
	return []string{string(config.GuardWatch), string(config.GuardHold), string(config.GuardLock)}
}

func (a *app) guardOff() *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "off",
		Short: "Turn the guard off and take its capabilities from the service",
		Long: "Removes the drop-ins that guard on wrote and restarts the service, if it runs. If another file of the " +
			"configuration turns the guard on, a drop-in turns it off.",
		Example: "ctkeeper guard off",
		Annotations: exits{
			0: "the guard is off", 1: "something could not be written; nothing is changed",
			78: "the configuration is refused, and nothing is changed",
		}.annotations(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.setGuard(cmd.Context(), setup.Options{Mode: config.GuardOff}, dryRun)
		},
	}
	addDryRun(cmd, &dryRun)
	return cmd
}

func addDryRun(cmd *cobra.Command, dryRun *bool) {
	cmd.Flags().BoolVar(dryRun, "dry-run", false, "print what would change and run, and change nothing")
}

// setGuard turns the guard on or off and prints what it did.
func (a *app) setGuard(ctx context.Context, opts setup.Options, dryRun bool) error {
	host := a.host
	plan, err := setup.NewPlan(host, a.sourceToWrite(), opts)
	var refused config.Errors
	switch {
	case errors.As(err, &refused):
		return failure{exitConfig, err}
	case err != nil:
		return failure{exitNo, err}
	}
	view := text.GuardChange{Mode: string(plan.Mode)}
	if a.root == "" {
		view.Commands = guardCommands(plan)
	}
	if !dryRun {
		if err := a.checkService(ctx); err != nil {
			return failure{exitNo, err}
		}
		// systemd and the daemon read these directories, too, whatever the umask of the caller is.
		defer syscall.Umask(syscall.Umask(0o022))
		changed, err := plan.Apply(host)
		if err == nil {
			view.Report = plan.Report(changed, false)
			view.Status, err = a.startGuard(ctx, host, plan, view.Commands)
		}
		if err != nil {
			return failure{exitNo, err}
		}
	} else {
		view.Report = plan.Report(nil, true)
	}
	if err := a.printer().GuardChange(view); err != nil {
		return failure{exitNo, err}
	}
	return nil
}

// checkService returns an error where a change cannot take effect: on a running system without systemd, without the
// unit, or without the rights. A system below --root takes it at its next boot.
func (a *app) checkService(ctx context.Context) error {
	if a.root != "" {
		return nil
	}
	if _, err := os.Stat("/run/systemd/system"); err != nil { // sd_booted(3)
		return errors.New("cannot change the service: no systemd runs here; give the daemon CAP_BPF by other means")
	}
	if os.Geteuid() != 0 {
		return errors.New("cannot change the service: only root may")
	}
	if _, err := systemctl(ctx, "cat", unitName); err != nil {
		return fmt.Errorf("cannot change the service: %s is not installed: %w", unitName, err)
	}
	return nil
}

// guardCommands returns the commands after which the running service has what a plan changes.
func guardCommands(plan setup.Plan) []string {
	isOn := plan.Mode != config.GuardOff
	switch unit, configuration := plan.Changes(); {
	case unit && isOn:
		return []string{"systemctl daemon-reload", "systemctl restart " + unitName}
	case unit:
		return []string{"systemctl daemon-reload", "systemctl try-restart " + unitName}
	case configuration && isOn:
		return []string{"systemctl reload-or-restart " + unitName}
	case configuration:
		return []string{"systemctl try-reload-or-restart " + unitName}
	case isOn: // it may not run
		return []string{"systemctl start " + unitName}
	}
	return nil
}

// startGuard runs the commands and waits until the daemon's guard is in effect. If it cannot be, the files are put back
// and the commands run again; a service that did not run is stopped.
func (a *app) startGuard(
	ctx context.Context, host tree.Tree, plan setup.Plan, commands []string,
) (document status.Document, err error) {
	if a.root != "" {
		return document, nil // no daemon runs below a root
	}
	_, inactive := systemctl(ctx, "is-active", unitName)
	if err = runAll(ctx, commands); err == nil {
		document, err = a.waitGuard(ctx, plan.Mode)
	}
	if err == nil {
		return document, nil
	}
	err = fmt.Errorf("the guard is not in effect, all files are put back: %w", err)
	// A user who interrupts this gets what was before, too.
	ctx = context.WithoutCancel(ctx)
	if inactive != nil {
		commands = []string{"systemctl daemon-reload", "systemctl stop " + unitName}
	}
	return document, errors.Join(err, plan.Undo(host), runAll(ctx, commands))
}

func runAll(ctx context.Context, commands []string) error {
	for _, line := range commands {
		if _, err := systemctl(ctx, strings.Fields(line)[1:]...); err != nil {
			return fmt.Errorf("%s: %w", line, err)
		}
	}
	return nil
}

func systemctl(ctx context.Context, args ...string) (string, error) {
	out, err := command.Combined(ctx, command.Limits{Timeout: systemctlTimeout, Output: 64 << 10}, "systemctl", args...)
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, printable.Line(strings.TrimSpace(string(out))))
	}
	return string(out), nil
}

// waitGuard waits until the daemon has the mode and its guard is in effect, and returns the daemon's document. No
// daemon has to run for a guard that is off.
func (a *app) waitGuard(ctx context.Context, mode config.GuardMode) (status.Document, error) {
	ctx, cancel := context.WithTimeout(ctx, guardTimeout)
	defer cancel()
	for tick := time.NewTicker(100 * time.Millisecond); ; {
		document, err := status.NewClient(status.SocketPath(a.root)).Status(ctx)
		switch hasMode := document.Guard.Mode == string(mode); {
		case err != nil && status.IsNotRunning(err) && mode == config.GuardOff:
			return document, nil
		case err == nil && hasMode && document.IsGuardInEffect():
			return document, nil
		case err == nil && hasMode && document.Guard.State == status.GuardUnavailable:
			return document, errors.New(document.Guard.Error)
		case err == nil && hasMode:
			err = fmt.Errorf("guard: %s, and the guard is %s: see ctkeeper doctor", mode, document.Guard.State)
		case err == nil:
			err = fmt.Errorf("the daemon has guard: %s", document.Guard.Mode)
		}
		select {
		case <-ctx.Done():
			tick.Stop()
			return document, err
		case <-tick.C:
		}
	}
}

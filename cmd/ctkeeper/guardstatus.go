package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/explain/doctor/guard"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/ui/text"
)

func (a *app) guardStatus() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show what the guard does, and whether this host can run it",
		Long: "Shows the configured mode, the capabilities that the service has, whether the kernel can run the " +
			"guard's programs, and what the guard reports and blocks now.",
		Example: "ctkeeper guard status",
		Annotations: exits{
			0: "the guard is as configured", 1: "it is not, or it could not run if it were turned on",
			2: "the daemon does not answer",
		}.readsConfig(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.load()
			if err != nil {
				return err
			}
			document, unanswered := status.NewClient(status.SocketPath(a.root)).Status(cmd.Context())
			view := a.viewGuard(cmd.Context(), cfg)
			view.Status = document
			if unanswered != nil {
				if view.Error = unanswered.Error(); status.IsNotRunning(unanswered) {
					view.Error = status.NotRunning
				}
			}
			if err := a.printer().GuardStatus(view); err != nil {
				return failure{exitUnknown, err}
			}
			switch {
			case len(view.Problems) > 0, unanswered == nil && !document.IsGuardInEffect():
				return failure{status: exitNo}
			case unanswered != nil && cfg.Guard.Mode != config.GuardOff:
				return failure{status: exitUnknown}
			}
			return nil
		},
	}
}

// viewGuard returns what the files of a host say of the guard: its mode, its rights, and whether the kernel can run it.
func (a *app) viewGuard(ctx context.Context, cfg *config.Config) text.GuardStatus {
	h := picture.Take(ctx, a.host, picture.Options{Source: a.source()})
	capabilities := h.UnitCapabilities()
	view := text.GuardStatus{
		Mode: cfg.Guard.Mode, Origin: cfg.Origins["guard.mode"], Kernel: h.Release, Installed: h.Env.Installed,
		CapBPF: capabilities.Has("CAP_BPF"), CapPerfmon: capabilities.Has("CAP_PERFMON"),
	}
	isOff := cfg.Guard.Mode == config.GuardOff
	if isOff && h.Config != nil { // what would hinder it
		asked := *h.Config
		asked.Guard.Mode = config.GuardWatch
		h.Config = &asked
	}
	for _, f := range guard.Check(h) {
		if f.ID != "guard-rights" || !isOff || h.Env.Installed && f.Fix == nil {
			view.Problems = append(view.Problems, f.Summary)
		}
	}
	return view
}

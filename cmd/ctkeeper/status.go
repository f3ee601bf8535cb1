package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/daemon"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/status"
)

func (a *app) status() *cobra.Command {
	watch, brief, probes := false, false, probes{}
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show settings, module, table and last drifts",
		Long: "Shows what the running daemon reports, or without a daemon the kernel compared with the " +
			"configuration. With --config FILE the running daemon has to use FILE, too: to compare the " +
			"kernel with another file, run ctkeeper diff --config FILE.",
		Example: "ctkeeper status\n" +
			"ctkeeper status --watch\n" +
			"ctkeeper status --ready  # exec probe of a pod, and --alive\n" +
			"ctkeeper status -o json",
		Annotations: exits{
			0: "nothing differs, or --watch was ended, or ready or alive",
			1: differs + ", or not ready or not alive",
			2: "a state is not known, or the daemon does not answer", 78: "the newest configuration is refused",
		}.readsConfig(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case watch:
				return a.watch(cmd.Context())
			case probes.ready, probes.alive:
				return a.probe(cmd.Context(), probes)
			}
			document, unanswered, err := a.current(cmd.Context())
			show := a.printer().Status
			if brief {
				show = a.printer().Brief
			}
			if refused := config.Errors(nil); err != nil && !(brief && errors.As(err, &refused)) {
				return err
			}
			if err := show(document); err != nil {
				return failure{exitUnknown, err}
			}
			err = exitStatus(document)
			if err == nil && unanswered != nil && !errors.Is(unanswered, fs.ErrPermission) {
				return failure{status: exitUnknown} // who may not ask learns no more from another status
			}
			return err
		},
	}
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "keep showing the status on a terminal; ? explains its keys")
	cmd.Flags().BoolVar(&brief, "brief", false, "print one line, for a banner or a script")
	probes.add(cmd)
	return cmd
}

// current returns the daemon's document or, without a daemon, one of the kernel compared with
// the configuration. unanswered is why a daemon that may be running did not answer, or nil. The error is a
// refused configuration, which the document has too, or --config with a daemon that uses another file.
func (a *app) current(ctx context.Context) (document status.Document, unanswered, refused error) {
	document, err := status.NewClient(status.SocketPath(a.root)).Status(ctx)
	if err == nil {
		if err := a.checkDaemonConfig(document); err != nil {
			return document, nil, err
		}
	} else {
		if document, refused = a.inspect(); !status.IsNotRunning(err) {
			document.Daemon.Error, unanswered = err.Error(), err
		}
	}
	daemon.FillUnknown(&document, a.host)
	document.Judge()
	return document, unanswered, refused
}

// inspect returns the kernel compared with the configuration, and without settings if that is refused, which is the
// error.
func (a *app) inspect() (status.Document, error) {
	cfg, err := a.load()
	if err == nil {
		return daemon.Inspect(a.host, cfg), nil
	}
	return status.Document{
		Daemon: status.Daemon{Config: status.Config{Error: err.Error()}},
		Module: status.Module{Name: kmod.Conntrack, State: kmod.Observe(a.host, kmod.Conntrack).State},
		Table:  daemon.InspectTable(a.host),
	}, err
}

// checkDaemonConfig returns an error if --config names a file that the daemon does not use.
func (a *app) checkDaemonConfig(d status.Document) error {
	if !a.configSet() {
		return nil
	}
	file, err := filepath.Abs(a.configFile)
	if err == nil && slices.Contains(d.Daemon.Config.Files, file) {
		return nil
	}
	return failure{exitUsage, fmt.Errorf("the running daemon does not use %s, its configuration is %s; "+
		"leave --config out, or compare the kernel with the file: ctkeeper diff --config %s",
		a.configFile, configFiles(d), a.configFile)}
}

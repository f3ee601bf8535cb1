package main

import (
	"errors"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/daemon"
	"github.com/ctkeeper/ctkeeper/host/buildinfo"
	"github.com/ctkeeper/ctkeeper/host/logging"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/systemd"
)

func (a *app) run() *cobra.Command {
	var opts daemon.Options
	var show bool
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the daemon in the foreground",
		Long: "Applies the settings and keeps them applied until it is stopped. On a terminal it first shows what it " +
			"is about to write.",
		Example: "ctkeeper run --observe  # only look\n" +
			"ctkeeper run\n" +
			"ctkeeper run --log-level debug --log-format console",
		Annotations: exits{
			0: "stopped on request", 1: "it failed for another reason",
			77: "nothing could be enforced because every write is forbidden, and --strict was given",
			78: "the configuration is refused at the start",
		}.readsConfig(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			// Where transparent huge pages are "always" on, as in Debian, a heap and stacks of
			// some 2 MiB took 8 MiB of them. An error is a kernel without them.
			_ = unix.Prctl(unix.PR_SET_THP_DISABLE, 1, 0, 0, 0)
			log, err := a.logger()
			if err != nil {
				return err
			}
			// Without it Go's runtime ends the process at the first entry after who reads standard error
			// has gone.
			signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
			a.fill(&opts, log)
			if show || isTerminal(a.stdout) {
				a.showRun(&opts)
			}
			// There is one pass at a time: a second processor would only be woken to look for
			// work, and delay the repair by that.
			runtime.GOMAXPROCS(1)
			// The heap is about 2 MiB: collecting it twice as often costs nothing that can be
			// measured, and saves as much of the memory of a daemon that is scraped.
			if os.Getenv("GOGC") == "" {
				debug.SetGCPercent(50)
			}
			err = daemon.Run(cmd.Context(), opts)
			switch {
			case errors.Is(err, daemon.ErrRefused):
				return failure{status: exitConfig} // the log has the errors
			case errors.Is(err, daemon.ErrForbidden):
				return failure{exitNoPerm, err}
			case err != nil:
				return failure{exitNo, err}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&opts.Strict, "strict", false, "end with status 77 if every write is forbidden")
	cmd.Flags().BoolVar(&opts.Source.Observe, "observe", false, "report what is not as wanted and write nothing: no "+
		"setting, no history, whatever the configuration says")
	cmd.Flags().BoolVar(&show, "show", false, "also print what will be written, and the status after the first pass, "+
		"where standard output is not a terminal")
	return cmd
}

// fill adds to the options of the flags what the daemon needs.
func (a *app) fill(opts *daemon.Options, log *logging.Logger) {
	observe := opts.Source.Observe
	opts.Source = a.sourceToWrite()
	opts.Source.Observe = observe
	opts.Log, opts.Notify, opts.Build = log, systemd.NewNotifier(), buildinfo.Read(version)
	opts.Socket = status.SocketPath(a.root)
	if !observe {
		opts.History = status.HistoryPath(a.root)
	}
}

// showRun prints what the daemon is about to write, and has it print the status after its first pass. Errors are left
// to the daemon: it reports a refused configuration, and runs where its output has no reader.
func (a *app) showRun(opts *daemon.Options) {
	if cfg, err := opts.Source.Load(); err == nil {
		_ = a.printer().RunBegins(daemon.Inspect(a.host, cfg), os.Args[0])
	}
	opts.Started = func(s status.Document) { _ = a.printer().RunStarted(s, os.Args[0]) }
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/term"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/daemon"
	"github.com/ctkeeper/ctkeeper/ui/text"
)

// Exit statuses (contract 1.1; 77 and 78 are EX_NOPERM and EX_CONFIG of
// sysexits(3)).
const (
	exitNo      = 1
	exitUsage   = 2
	exitUnknown = 2
	exitNoPerm  = 77
	exitConfig  = 78
)

// failure is an error with the exit status that it asks for. Without an error
// the output has said it all.
type failure struct {
	status int
	err    error
}

func (f failure) Error() string {
	if f.err == nil {
		return ""
	}
	return f.err.Error()
}

func (f failure) Unwrap() error { return f.err }

// app is the global flags, and where output goes.
type app struct {
	configFile string
	root       string
	output     string
	logLevel   string
	logFormat  string
	stdout     io.Writer
	stderr     io.Writer
	configSet  func() bool
	rootSet    func() bool
}

// execute runs one command line and returns its exit status.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	a := &app{stdout: stdout, stderr: stderr}
	root := a.command()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	var f failure
	if errors.As(err, &f) {
		if f.err != nil {
			_, _ = fmt.Fprintln(stderr, "ctkeeper:", f.err)
		}
		return f.status
	}
	_, _ = fmt.Fprintf(stderr, "ctkeeper: %v\n\n%s", err, cmd.UsageString())
	return exitUsage
}

func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "ctkeeper",
		Short: "Keep a Linux host's connection-tracking settings",
		Long: "ctkeeper owns the settings of nf_conntrack on a host: hashsize, max, expect_max and the others.\n" +
			"It makes them what /etc/ctkeeper/ctkeeper.yaml says, and keeps them so.",
		SilenceErrors: true, SilenceUsage: true,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return errors.New("a command is missing") },
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if !text.Known(a.output) {
				return fmt.Errorf("invalid argument %q for --output (%s)", a.output, strings.Join(text.Formats(), ", "))
			}
			if err := a.rooted(); err != nil {
				return err
			}
			_, err := a.logger()
			return err
		},
	}
	flags := root.PersistentFlags()
	flags.StringVar(&a.configFile, "config", config.DefaultMain, "read this configuration `FILE`")
	flags.StringVar(&a.root, "root", "", "work on the system below `DIR`: its /etc, /proc, /sys, /lib/modules and all others")
	flags.StringVarP(&a.output, "output", "o", "table", "print as `FORMAT`: "+strings.Join(text.Formats(), ", "))
	flags.StringVar(&a.logLevel, "log-level", "info", "log from this `LEVEL` on: debug, info, warn, error")
	flags.StringVar(&a.logFormat, "log-format", "auto", "log in this `FORMAT`: "+strings.Join(daemon.LogFormats(), ", "))
	for flag, values := range map[string][]string{
		"output": text.Formats(), "log-level": {"debug", "info", "warn", "error"}, "log-format": daemon.LogFormats(),
	} {
		// It fails for an unknown flag alone.
		_ = root.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
	a.configSet = func() bool { return flags.Changed("config") }
	a.rootSet = func() bool { return flags.Changed("root") }
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.AddCommand(a.run(), a.apply(), a.diff(), a.status(), a.events(), a.persist(), a.doctor(), a.importer(), a.config(), a.version())
	root.SetHelpCommand(help(root))
	// cobra's own completion command takes anything, and shows its help.
	root.InitDefaultCompletionCmd()
	if completion, _, err := root.Find([]string{"completion"}); err == nil {
		completion.RunE = func(*cobra.Command, []string) error {
			return errors.New("a shell is missing: bash, fish, powershell or zsh")
		}
	}
	return root
}

// help is cobra's help command, but for a command that does not exist.
func help(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Show what a command does",
		RunE: func(_ *cobra.Command, args []string) error {
			cmd, rest, err := root.Find(args)
			if err != nil {
				return err
			}
			if len(rest) > 0 {
				return fmt.Errorf("unknown command %q for %q", rest[0], cmd.CommandPath())
			}
			cmd.InitDefaultHelpFlag()
			return cmd.Help()
		},
	}
}

// rooted makes --root absolute; without it the running system is meant. An empty
// DIR is refused: it is a variable that a script forgot to set, and the running
// system is not what such a script is about.
func (a *app) rooted() error {
	if a.root == "" && !a.rootSet() {
		return nil
	}
	root, err := filepath.Abs(a.root)
	if err != nil {
		return err
	}
	if info, err := os.Stat(root); a.root == "" || err != nil || !info.IsDir() {
		return fmt.Errorf("invalid argument %q for --root (an existing directory)", a.root)
	}
	if a.root = root; root == "/" {
		a.root = ""
	}
	return nil
}

func (a *app) source() config.Source {
	return config.Source{Root: a.root, Main: a.configFile, MainRequired: a.configSet()}
}

func (a *app) printer() text.Printer {
	return text.Printer{Out: a.stdout, Format: a.output, Colour: colourful(a.stdout)}
}

// colourful reports whether colours are welcome on w: on a terminal that has
// them, unless NO_COLOR is set (no-color.org).
func colourful(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(file.Fd()))
}

func (a *app) logger() (*zap.Logger, error) {
	level, err := zapcore.ParseLevel(a.logLevel)
	if err != nil {
		return nil, fmt.Errorf("invalid argument %q for --log-level (debug, info, warn, error)", a.logLevel)
	}
	if !slices.Contains(daemon.LogFormats(), a.logFormat) {
		return nil, fmt.Errorf("invalid argument %q for --log-format (%s)", a.logFormat, strings.Join(daemon.LogFormats(), ", "))
	}
	log, err := daemon.NewLogger(a.logFormat, level, a.stderr, colourful(a.stderr))
	if err != nil {
		return nil, failure{exitNo, err}
	}
	return log, nil
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

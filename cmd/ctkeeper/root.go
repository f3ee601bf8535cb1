package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.uber.org/zap/zapcore"
	"golang.org/x/term"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/daemon"
	"github.com/ctkeeper/ctkeeper/host/logging"
	"github.com/ctkeeper/ctkeeper/host/printable"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/ui/text"
)

// Exit statuses (docs/reference.md; 77 and 78 are EX_NOPERM and EX_CONFIG of sysexits(3)).
const (
	exitNo      = 1
	exitUsage   = 2
	exitUnknown = 2
	exitNoPerm  = 77
	exitConfig  = 78
)

// failure is an exit status with its error; nil where the output already has all of it.
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

// app holds the global flags and the outputs.
type app struct {
	configFile string
	root       string
	procfs     string
	sysfs      string
	host       tree.Tree // from root, procfs and sysfs
	output     string
	logLevel   string
	logFormat  string
	stdout     io.Writer
	stderr     io.Writer
	noHelp     error // why there is no help: no command of that name
	configSet  func() bool
	rootSet    func() bool
	pathSet    func() bool
}

// execute runs one command line and returns its exit status.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	a := &app{stdout: stdout, stderr: stderr}
	root := a.command()
	root.SetArgs(args)
	err := cmp.Or(root.ExecuteContext(ctx), a.noHelp)
	if err == nil {
		return 0
	}
	var f failure
	if errors.As(err, &f) {
		if f.err != nil {
			_, _ = fmt.Fprintln(stderr, "ctkeeper:", printable.Lines(f.err.Error()))
		}
		return f.status
	}
	_, _ = fmt.Fprintln(stderr, "ctkeeper:", printable.Line(err.Error()))
	return exitUsage
}

func (a *app) command() *cobra.Command {
	var printVersion bool
	root := &cobra.Command{
		Use:   "ctkeeper",
		Short: "Keep a Linux host's connection-tracking settings",
		Long: "ctkeeper owns the settings of nf_conntrack on a host: hashsize, max, expect_max and the others. " +
			"It applies those of /etc/ctkeeper/ctkeeper.yaml and keeps them applied.",
		SilenceErrors: true, SilenceUsage: true,
		RunE: func(*cobra.Command, []string) error {
			if printVersion {
				return a.printVersion()
			}
			return errors.New("a command is missing: ctkeeper init shows what it would keep on this host, " +
				"ctkeeper --help lists all")
		},
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if _, reads := cmd.Annotations[annotationConfig]; a.configSet() && !reads {
				return fmt.Errorf("%s does not read the configuration: leave --config out", cmd.CommandPath())
			}
			if !text.Known(a.output) {
				return invalidArgument(a.output, "output", text.Formats())
			}
			if err := a.resolveHost(); err != nil {
				return err
			}
			_, err := a.logger()
			return err
		},
	}
	root.Flags().BoolVarP(&printVersion, "version", "V", false, "print the version, as ctkeeper version does")
	a.addGlobalFlags(root)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.AddCommand(a.run(), a.apply(), a.diff(), a.status(), a.events(), a.persist(), a.doctor(), a.importer(),
		a.config(), a.version(), a.completion(), a.priority())
	root.AddCommand(a.initialize(), a.guard(), a.support(), a.render())
	root.SetHelpCommand(help(root))
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		if cmd.HasSubCommands() {
			a.noHelp = isCommand(cmd, cmd.Flags().Args())
		}
		if a.noHelp == nil {
			writeHelp(a.stdout, cmd)
		}
	})
	root.SetFlagErrorFunc(flagError)
	root.CompletionOptions.DisableDefaultCmd = true
	checkArguments(root)
	return root
}

// addGlobalFlags adds the flags that every command has.
func (a *app) addGlobalFlags(root *cobra.Command) {
	flags := root.PersistentFlags()
	flags.StringVar(&a.configFile, "config", config.DefaultMain, "read this configuration `FILE`")
	flags.StringVar(&a.root, "root", "", "work on the system below `DIR`: its /etc, /proc, /sys, /lib/modules and "+
		"all others")
	flags.StringVar(&a.procfs, flagProcfs, "/proc", "in a container: look for the files of /proc below `DIR` first, "+
		"where the host's /proc/sys/net is mounted as DIR/sys/net")
	flags.StringVar(&a.sysfs, flagSysfs, "/sys", "the same for /sys, where the host's /sys/module is mounted as "+
		"`DIR`/module")
	flags.StringVarP(&a.output, "output", "o", "table", "print as `FORMAT`: "+strings.Join(text.Formats(), ", "))
	flags.StringVar(&a.logLevel, "log-level", "info", "log from this `LEVEL` on: "+strings.Join(logLevels(), ", "))
	flags.StringVar(&a.logFormat, "log-format", "auto",
		"log in this `FORMAT`: "+strings.Join(daemon.LogFormats(), ", "))
	flags.BoolP("help", "h", false, "show what a command does, and its flags")
	for flag, values := range map[string][]string{
		"output": text.Formats(), "log-level": logLevels(), "log-format": daemon.LogFormats(),
	} {
		// An error means an unknown flag.
		_ = root.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
	a.configSet = func() bool { return flags.Changed("config") }
	a.rootSet = func() bool { return flags.Changed("root") }
	a.pathSet = func() bool { return flags.Changed(flagProcfs) || flags.Changed(flagSysfs) }
}

// help takes the place of cobra's own help command.
func help(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Show what a command does",
		RunE: func(_ *cobra.Command, args []string) error {
			cmd := root
			for _, word := range args {
				i := slices.IndexFunc(cmd.Commands(), func(c *cobra.Command) bool { return c.Name() == word })
				if i < 0 {
					return unknownCommand(cmd, word)
				}
				cmd = cmd.Commands()[i]
			}
			return cmd.Help()
		},
	}
}

func logLevels() []string { return []string{"debug", "info", "warn", "error"} }

// flagProcfs and flagSysfs are called as those of node_exporter.
const (
	flagProcfs = "path.procfs"
	flagSysfs  = "path.sysfs"
)

// resolveHost makes --root absolute, and sets the host from it or from --path.procfs and --path.sysfs.
func (a *app) resolveHost() (err error) {
	switch {
	case a.rootSet() && a.pathSet():
		return fmt.Errorf("--%s and --%s are for the running system, and --root is for another: use one of them",
			flagProcfs, flagSysfs)
	case a.procfs == "" || a.sysfs == "":
		return fmt.Errorf("invalid argument \"\" for --%s or --%s (an existing directory)", flagProcfs, flagSysfs)
	case a.pathSet():
		a.host, err = tree.Tree{}.WithMounts(a.procfs, a.sysfs)
	case a.rootSet():
		err = a.resolveRoot()
		a.host = tree.At(a.root)
	}
	return err
}

// resolveRoot makes --root absolute. An empty DIR is an error: a script forgot to set a variable, and does not mean the
// running system.
func (a *app) resolveRoot() error {
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

// load reads the configuration. In every command a refused one ends with exitConfig.
func (a *app) load() (*config.Config, error) { return load(a.source()) }

// loadToWrite is load for commands that write what the configuration says: as root they follow no file that
// somebody else can change.
func (a *app) loadToWrite() (*config.Config, error) { return load(a.sourceToWrite()) }

func load(source config.Source) (*config.Config, error) {
	cfg, err := source.Load()
	if err != nil {
		return nil, failure{exitConfig, err}
	}
	return cfg, nil
}

func (a *app) source() config.Source {
	return config.Source{Root: a.root, Host: a.host, Main: a.configFile, MainRequired: a.configSet()}
}

// sourceToWrite is the source of loadToWrite.
func (a *app) sourceToWrite() config.Source {
	source := a.source()
	source.RootOnly = a.root == "" && os.Geteuid() == 0
	return source
}

func (a *app) printer() text.Printer {
	return text.Printer{Out: a.stdout, Format: a.output, Colour: colourful(a.stdout)}
}

// colourful reports whether w is a terminal with colours, and NO_COLOR is not set
// (no-color.org).
func colourful(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(file.Fd()))
}

func (a *app) logger() (*logging.Logger, error) {
	level, err := zapcore.ParseLevel(a.logLevel)
	if err != nil {
		return nil, invalidArgument(a.logLevel, "log-level", logLevels())
	}
	if !slices.Contains(daemon.LogFormats(), a.logFormat) {
		return nil, invalidArgument(a.logFormat, "log-format", daemon.LogFormats())
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

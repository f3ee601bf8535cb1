// Command ctkeeper-exporter serves the metrics and the status page of ctkeeper, which it asks on its status socket.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kingpin/v2"
	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/prometheus/common/promslog"
	logflag "github.com/prometheus/common/promslog/flag"
	"github.com/prometheus/exporter-toolkit/web"
	"github.com/prometheus/exporter-toolkit/web/kingpinflag"

	"github.com/ctkeeper/ctkeeper/host/buildinfo"
	"github.com/ctkeeper/ctkeeper/host/spelling"
	"github.com/ctkeeper/ctkeeper/status"
)

const (
	name           = "ctkeeper-exporter"
	defaultAddress = ":9466"
	// exitUsage is the exit status of wrong usage.
	exitUsage = 2
)

// version is set by the linker.
var version string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// Without it Go's runtime ends the process at the first entry after who reads standard error has gone.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	exit := execute(ctx, os.Args[1:], os.Stderr)
	stop()
	os.Exit(exit)
}

// options are the flags.
type options struct {
	web           *web.FlagConfig
	addressGiven  bool // on the command line
	telemetryPath string
	socket        string
	textfile      string
	log           promslog.Config
}

// needsServer reports whether to serve: always, except with --textfile alone.
func (o options) needsServer() bool {
	return o.textfile == "" || o.addressGiven || *o.web.WebSystemdSocket
}

func parse(args []string) (o options, err error) {
	_, err = o.application().Parse(args)
	return o, err
}

// application returns the command line, which sets the options.
func (o *options) application() *kingpin.Application {
	app := kingpin.New(name, "Serves the metrics and the status page of ctkeeper.")
	app.HelpFlag.Short('h')
	app.Version(fmt.Sprintf("%s %s", name, buildinfo.Read(version)))
	app.UsageWriter(os.Stdout)
	o.web = kingpinflag.AddFlags(app, defaultAddress)
	app.GetFlag("web.listen-address").IsSetByUser(&o.addressGiven).Help("Addresses on which to expose metrics " +
		"and status page. Repeatable for multiple addresses. Examples: `127.0.0.1:9466`, `[::1]:9466`")
	app.Flag("web.telemetry-path", "Path under which to expose metrics.").Default("/metrics").
		StringVar(&o.telemetryPath)
	app.Flag("ctkeeper.socket", "Status socket of the daemon.").Default(status.SocketPath("/")).StringVar(&o.socket)
	app.Flag("textfile", "Directory in which to write ctkeeper.prom every 15 s, for node_exporter's textfile "+
		"collector. Without --web.listen-address or --web.systemd-socket nothing is then served.").
		PlaceHolder("DIR").StringVar(&o.textfile)
	logflag.AddFlags(app, &o.log)
	return app
}

// execute runs the exporter until ctx ends, and returns its exit status.
func execute(ctx context.Context, args []string, stderr io.Writer) int {
	opts, err := parse(args)
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "%s: %v (%s)\n", name, err, hint(args))
		return exitUsage
	}
	opts.log.Writer = stderr
	log := promslog.New(&opts.log)
	if err := run(ctx, opts, log); err != nil {
		log.Error("ctkeeper-exporter ends", "err", err)
		return 1
	}
	return 0
}

// hint returns what to do about wrong usage: the flag that was probably meant, or else where to read.
func hint(args []string) string {
	var o options
	var known []string
	for _, flag := range o.application().Model().Flags {
		known = append(known, "--"+flag.Name)
	}
	for _, arg := range args {
		word, _, _ := strings.Cut(arg, "=")
		if near := spelling.Nearest(word, known); near != "" && near != word {
			return "did you mean " + near + "?"
		}
	}
	return "see " + name + " --help"
}

// notifyReady tells systemd that the exporter is ready.
func notifyReady() error {
	if _, err := daemon.SdNotify(false, daemon.SdNotifyReady); err != nil {
		return fmt.Errorf("sd_notify failed: %w", err)
	}
	return nil
}

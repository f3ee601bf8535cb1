package main

import (
	"flag"
	"strings"
	"testing"

	"github.com/ctkeeper/ctkeeper/internal/man"
)

var update = flag.Bool("update", false, "rewrite packaging/man")

// TestPageIsCurrent compares ctkeeper-exporter(8) with the flags.
func TestPageIsCurrent(t *testing.T) {
	var o options
	app := o.application()
	flags := ""
	for _, f := range app.Model().Flags {
		if f.Hidden {
			continue
		}
		tag := man.Bold("--" + f.Name)
		if f.Short != 0 {
			tag = man.Bold("-"+string(f.Short)) + ", " + tag
		}
		if !f.IsBoolFlag() {
			tag += " " + man.Italic(strings.Trim(f.FormatPlaceHolder(), `"`))
		}
		flags += man.Tagged(tag, strings.TrimSuffix(f.Help, ".")+".")
	}
	man.Compare(t, "../..", man.Page{
		Name: name, Section: 8, Short: "serve the metrics and the status page of ctkeeper",
		Parts: []man.Part{
			{Title: "Synopsis", Roff: man.Synopsis(name + " [OPTION...]")},
			{Title: "Description", Roff: man.Markdown(description)},
			{Title: "Options", Roff: flags},
			{Title: "Exit status", Roff: man.Tagged(man.Bold("0"), "Stopped on request.") +
				man.Tagged(man.Bold("1"), "It cannot listen, or cannot serve.") +
				man.Tagged(man.Bold("2"), "Wrong usage.")},
			{Title: "Files", Roff: man.Tagged(man.Italic("/etc/default/ctkeeper-exporter"),
				"The options of the service, as `ARGS=`.") +
				man.Tagged(man.Italic("/run/ctkeeper/ctkeeper.sock"), "The status socket of the daemon.")},
			{Title: "Examples", Roff: man.Markdown(examples)},
			{Title: "See also", Roff: man.SeeAlso("ctkeeper(8)", "systemd.socket(5)")},
		},
	}, *update)
}

const description = "Asks the daemon on its status socket, and serves the metrics for Prometheus at `/metrics` and " +
	"the status page at `/`. It only reads. Without the daemon it serves `ctkeeper_up 0`.\n\n" +
	"Everybody who reaches the address can read what it serves. On a loopback address it answers only requests for " +
	"`localhost` or a loopback address.\n\n" +
	"`ctkeeper-exporter.service` runs it. The package does not enable it. All metrics are in " +
	"[metrics.md](metrics.md)."

const examples = "On this host only, with TLS and passwords, in `/etc/default/ctkeeper-exporter`:\n\n" +
	"    ARGS=--web.listen-address=127.0.0.1:9466 --web.config.file=/etc/ctkeeper/web.yaml\n\n" +
	"The service, now and at each boot:\n\n" +
	"    systemctl enable --now ctkeeper-exporter\n"

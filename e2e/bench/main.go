package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const sysctlDir = "/proc/sys/net/netfilter"

// A bench has the parameters of one run, and its results.
type bench struct {
	ctkeeper, helpers           string
	writes, slow, loads, starts int
	quiet, storm                time.Duration
	cells                       []string // of the drift; empty: all
	dir                         string   // of configurations and sockets
	module                      bool     // nf_conntrack can be unloaded and loaded here
	report                      report
}

// reportPrefix begins the line that has the report as JSON.
const reportPrefix = "report: "

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	b := &bench{}
	flag.StringVar(&b.ctkeeper, "ctkeeper", "/usr/bin/ctkeeper", "the binary to measure")
	flag.StringVar(&b.helpers, "helpers", "", "directory of the C programs of e2e/helpers, built")
	flag.IntVar(&b.writes, "n", 1000, "foreign writes for each program and each way of pinning")
	flag.IntVar(&b.slow, "slow", 60, "foreign writes for programs that take a second")
	flag.IntVar(&b.loads, "loads", 20, "module loads for each program, in turns of 5")
	flag.IntVar(&b.starts, "starts", 20, "starts of the daemon")
	flag.DurationVar(&b.quiet, "quiet", time.Minute, "quiet time")
	flag.DurationVar(&b.storm, "storm", 4*time.Second, "length of each storm")
	flag.BoolVar(&b.module, "module", false,
		"unload and load nf_conntrack, and set what only the first network namespace has")
	only := flag.String("only", "", "measurements, separated by commas: "+strings.Join(names(measurements), ", "))
	ways := flag.String("cells", "", "ways of pinning, separated by commas: same, other, unpinned, busy")
	// Not /tmp: the daemon watches the directories above its configuration, and every change there wakes it.
	parent := flag.String("dir", "/var/lib", "directory for the configurations, in which nothing else changes")
	document := flag.String("document", "",
		"measure nothing, and write performance.md below this directory, from the two reports that are named")
	flag.Parse()
	if *document != "" {
		return writeDocument(*document, flag.Args())
	}
	if *ways != "" {
		b.cells = strings.Split(*ways, ",")
	}
	dir, err := os.MkdirTemp(*parent, "bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b.dir = dir
	if err := b.prepareHost(); err != nil {
		return err
	}
	for _, m := range measurements {
		isElsewhere := m.where == machineOnly && !b.module || m.where == hereOnly && b.module
		if isElsewhere || *only != "" && !slices.Contains(strings.Split(*only, ","), m.name) {
			continue
		}
		if err := m.measure(b); err != nil {
			b.report.Failed = append(b.report.Failed, fmt.Sprintf("cannot measure %s: %v", m.name, err))
		}
	}
	fmt.Print(b.report.tables())
	text, err := json.Marshal(b.report)
	fmt.Printf("%s%s\n", reportPrefix, text)
	return err
}

// A measurement is what -only can choose.
type measurement struct {
	name    string
	measure func(*bench) error
	where   string // it is measured, if not everywhere
}

const (
	machineOnly = "machine" // it needs a module that can be unloaded, or programs that only the machine has
	hereOnly    = "here"    // the machine would take long to tell the same
)

var measurements = []measurement{
	{"drift", (*bench).measureDrift, ""},
	{"loop", (*bench).measureLoop, ""},
	{"storm", (*bench).measureStorm, hereOnly},
	{"settings", (*bench).measureSettings, hereOnly},
	{"rest", (*bench).measureRest, ""},
	{"start", (*bench).measureStarts, ""},
	{"load", (*bench).measureLoads, machineOnly},
	{"kube-proxy", (*bench).measureKubeProxy, machineOnly},
}

func names(list []measurement) (all []string) {
	for _, m := range list {
		all = append(all, m.name)
	}
	return all
}

// progress prints what is measured now.
func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...) }

// prepareHost stops an installed ctkeeper and loads the module, or checks that this is not the host's own network
// namespace.
func (b *bench) prepareHost() error {
	b.report.Host = readHost(b.ctkeeper)
	b.report.Host.Place = "a private network namespace"
	if !b.module {
		if _, err := os.Stat("/proc/sys/net/nf_conntrack_max"); err == nil {
			return errors.New("this is the host's own network namespace: run it under unshare --net")
		}
		return nil
	}
	b.report.Host.Place = "a virtual machine under software emulation"
	_, _ = exec.Command("systemctl", "stop", "ctkeeper.service").CombinedOutput()
	if out, err := exec.Command("modprobe", "nf_conntrack").CombinedOutput(); err != nil {
		return fmt.Errorf("cannot load nf_conntrack: %w: %s", err, out)
	}
	return nil
}

// timeouts exist in every network namespace of every kernel since 5.10.
var timeouts = []string{
	"tcp_timeout_syn_sent", "tcp_timeout_syn_recv", "tcp_timeout_established", "tcp_timeout_fin_wait",
	"tcp_timeout_close_wait", "tcp_timeout_last_ack", "tcp_timeout_time_wait", "tcp_timeout_close",
	"tcp_timeout_max_retrans", "tcp_timeout_unacknowledged", "udp_timeout", "udp_timeout_stream",
	"icmp_timeout", "icmpv6_timeout", "generic_timeout", "sctp_timeout_closed",
	"sctp_timeout_cookie_wait", "sctp_timeout_cookie_echoed", "sctp_timeout_established", "sctp_timeout_shutdown_sent",
}

// timeoutWants returns the first n timeouts, with values that are no kernel's default.
func timeoutWants(n int) map[string]string {
	wants := map[string]string{}
	for i, name := range timeouts[:n] {
		wants[name] = fmt.Sprint(1000 + i)
	}
	return wants
}

// assignments returns NAME=VALUE for each setting, in order of the names, with prefix before them.
func assignments(wants map[string]string, prefix string) (all []string) {
	for name, value := range wants {
		all = append(all, prefix+name+"="+value)
	}
	slices.Sort(all)
	return all
}

func settingFile(name string) string { return filepath.Join(sysctlDir, "nf_conntrack_"+name) }

// read returns the text of a file, or "" if it cannot be read.
func read(file string) string {
	content, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(content))
}

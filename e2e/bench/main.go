package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const sysctlDir = "/proc/sys/net/netfilter"

// A bench has the parameters of one run, and its results.
type bench struct {
	ctkeeper, bare string
	writes, loads  int
	settings       int // how many of timeouts are set
	starts         int
	quiet          time.Duration
	dir            string // of the configuration and the socket
	module         bool   // nf_conntrack can be unloaded and loaded here
	out            table
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	b := &bench{}
	flag.StringVar(&b.ctkeeper, "ctkeeper", "/usr/bin/ctkeeper", "the binary to measure")
	flag.StringVar(&b.bare, "bare", "", "the minimal C program (helpers/bare.c, built)")
	flag.IntVar(&b.writes, "writes", 500, "foreign writes for each program")
	flag.IntVar(&b.settings, "settings", len(timeouts),
		"number of timeouts in the configuration; each pass reads them all, and fewer than 6 get contested")
	flag.IntVar(&b.loads, "loads", 30, "module loads for each program")
	flag.IntVar(&b.starts, "starts", 30, "starts of the daemon")
	flag.DurationVar(&b.quiet, "quiet", 10*time.Minute, "quiet time")
	flag.BoolVar(&b.module, "module", false,
		"unload and load nf_conntrack, and set what only the first network namespace has")
	// Not /tmp: the daemon watches the directories above its configuration, and every change there wakes it.
	parent := flag.String("dir", "/var/lib", "directory for the configuration, in which nothing else changes")
	flag.Parse()
	dir, err := os.MkdirTemp(*parent, "bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b.dir = dir
	if err := b.prepareHost(); err != nil {
		return err
	}
	for _, measure := range []func() error{b.measureRepairs, b.measureLoads, b.measureStarts, b.measureIdle} {
		if err := measure(); err != nil {
			log, _ := os.ReadFile(filepath.Join(b.dir, "log"))
			return fmt.Errorf("%w; end of the daemon's log:\n%s", err, log[max(0, len(log)-4000):])
		}
	}
	fmt.Print(b.out.String())
	return nil
}

// prepareHost stops an installed ctkeeper and loads the module, or checks that this is not the host's own network
// namespace.
func (b *bench) prepareHost() error {
	if b.module {
		_, _ = exec.Command("systemctl", "stop", "ctkeeper.service").CombinedOutput()
		if out, err := exec.Command("modprobe", "nf_conntrack").CombinedOutput(); err != nil {
			return fmt.Errorf("cannot load nf_conntrack: %w: %s", err, out)
		}
	}
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return err
	}
	namespace := "a private network namespace"
	if b.module {
		namespace = "the first network namespace"
	} else if _, err := os.Stat("/proc/sys/net/nf_conntrack_max"); err == nil {
		return errors.New("this is the host's own network namespace: run it under unshare --net")
	}
	fmt.Printf("kernel %s, %s\n", strings.TrimSpace(string(release)), namespace)
	return nil
}

// wants returns the settings of the configuration, with values that are no kernel's default.
func (b *bench) wants() map[string]string {
	wants := map[string]string{}
	for i, name := range timeouts[:min(b.settings, len(timeouts))] {
		wants[name] = fmt.Sprint(1000 + i)
	}
	if b.module {
		wants["max"], wants["expect_max"], wants["buckets"] = "300000", "8192", "102400"
	}
	return wants
}

// timeouts exist in every network namespace of every kernel since 5.10.
var timeouts = []string{
	"tcp_timeout_syn_sent", "tcp_timeout_syn_recv", "tcp_timeout_established", "tcp_timeout_fin_wait",
	"tcp_timeout_close_wait", "tcp_timeout_last_ack", "tcp_timeout_time_wait", "tcp_timeout_close",
	"tcp_timeout_max_retrans", "tcp_timeout_unacknowledged", "udp_timeout", "udp_timeout_stream",
	"icmp_timeout", "icmpv6_timeout", "generic_timeout", "sctp_timeout_closed",
	"sctp_timeout_cookie_wait", "sctp_timeout_cookie_echoed", "sctp_timeout_established", "sctp_timeout_shutdown_sent",
}

func settingFile(name string) string { return filepath.Join(sysctlDir, "nf_conntrack_"+name) }

// configure writes a configuration with the settings in wants and returns its path.
func (b *bench) configure(wants map[string]string, rest string) (string, error) {
	var text strings.Builder
	text.WriteString("settings:\n")
	for name, value := range wants {
		fmt.Fprintf(&text, "  %s: %s\n", name, value)
	}
	// A directory of its own: the daemon watches it, and changes of the log and the socket would wake it.
	path := filepath.Join(b.dir, "etc", "ctkeeper.yaml")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	return path, os.WriteFile(path, []byte(text.String()+rest), 0o644)
}

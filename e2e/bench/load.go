package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	ruleFile   = "/run/udev/rules.d/90-bench-conntrack.rules"
	sysctlFile = "/run/sysctl.d/90-bench-conntrack.conf"
	rule       = `ACTION=="add", SUBSYSTEM=="module", KERNEL=="nf_conntrack", RUN+="/lib/systemd/systemd-sysctl --prefix=/net/netfilter"` + "\n"
)

// loading measures, interleaved, how long the module is there before all values
// are right, under ctkeeper and under the udev rule.
func (b *bench) loading() error {
	if !b.module {
		return nil
	}
	wants := map[string]string{"max": "300000", "expect_max": "8192", "tcp_timeout_established": "7200"}
	if err := b.loadingOf("hash size as loaded", wants); err != nil {
		return err
	}
	// A resize keeps its writer for an RCU grace period, whoever it is.
	wants["buckets"] = "102400"
	return b.loadingOf("with a resize", wants)
}

func (b *bench) loadingOf(what string, wants map[string]string) error {
	config, err := b.configure(wants, "enforcement:\n  resync: 1h\n")
	if err != nil {
		return err
	}
	if err := unloadModule(); err != nil {
		return err
	}
	ours, err := b.keeper(config)
	if err != nil {
		return err
	}
	defer func() { _ = ours.stop() }()
	var ourTimes, udevTimes []time.Duration
	for range b.loads {
		if err := ours.resume(); err != nil {
			return err
		}
		took, err := oneLoad(wants)
		if err != nil {
			return err
		}
		ourTimes = append(ourTimes, took)
		if err := ours.pause(); err != nil {
			return err
		}
		took, err = underRule(wants)
		if err != nil {
			return err
		}
		udevTimes = append(udevTimes, took)
	}
	b.out.title(fmt.Sprintf("module there to all values right, %s, n=%d each, interleaved", what, b.loads), "ctkeeper", "udev rule")
	b.out.quantiles(ourTimes, udevTimes)
	_, err = exec.Command("modprobe", "nf_conntrack").CombinedOutput()
	return err
}

func underRule(wants map[string]string) (time.Duration, error) {
	var lines strings.Builder
	for name, value := range wants {
		fmt.Fprintf(&lines, "net.netfilter.nf_conntrack_%s = %s\n", name, value)
	}
	for path, content := range map[string]string{ruleFile: rule, sysctlFile: lines.String()} {
		if err := os.MkdirAll(path[:strings.LastIndex(path, "/")], 0o755); err != nil {
			return 0, err
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return 0, err
		}
		defer os.Remove(path)
	}
	if err := udevadm("control", "--reload"); err != nil {
		return 0, err
	}
	took, err := oneLoad(wants)
	if err != nil {
		return 0, err
	}
	_ = os.Remove(ruleFile)
	return took, udevadm("control", "--reload")
}

func udevadm(args ...string) error {
	out, err := exec.Command("udevadm", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("udevadm: %w: %s", err, out)
	}
	return nil
}

// oneLoad loads the module and reads until all values are right, counted from
// the moment in which its files are there.
func oneLoad(wants map[string]string) (time.Duration, error) {
	if err := unloadModule(); err != nil {
		return 0, err
	}
	if err := udevadm("settle"); err != nil {
		return 0, err
	}
	time.Sleep(200 * time.Millisecond)
	var loading errgroup.Group
	loading.Go(exec.Command("modprobe", "nf_conntrack").Run)
	begun := time.Now()
	for read("max") == "" {
		if time.Since(begun) > giveUp {
			return 0, fmt.Errorf("the module is not there within %s", giveUp)
		}
	}
	there := time.Now()
	for !holds(wants) {
		if time.Since(there) > giveUp {
			return 0, fmt.Errorf("values are not right within %s", giveUp)
		}
	}
	took := time.Since(there)
	return took, loading.Wait()
}

// holds reports whether all values are right. The hash size is read from the
// module parameter: to read nf_conntrack_buckets while somebody writes it can undo
// that write (nf_conntrack_hash_sysctl keeps both in one variable).
func holds(wants map[string]string) bool {
	for name, value := range wants {
		now := ""
		if name == "buckets" {
			content, _ := os.ReadFile("/sys/module/nf_conntrack/parameters/hashsize")
			now = strings.TrimSpace(string(content))
		} else {
			now = read(name)
		}
		if now != value {
			return false
		}
	}
	return true
}

func unloadModule() error {
	if _, err := os.Stat("/sys/module/nf_conntrack"); err != nil {
		return nil
	}
	out, err := exec.Command("modprobe", "-r", "nf_conntrack").CombinedOutput()
	if err != nil {
		return fmt.Errorf("cannot unload nf_conntrack: %w: %s", err, out)
	}
	return nil
}

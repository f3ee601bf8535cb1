package main

import (
	"errors"
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
	perTurn    = 5 // loads
	lookPause  = 100 * time.Microsecond
	giveUp     = 10 * time.Second
	rule       = `ACTION=="add", SUBSYSTEM=="module", KERNEL=="nf_conntrack", ` +
		`RUN+="/lib/systemd/systemd-sysctl --prefix=/net/netfilter"` + "\n"
)

// measureLoads measures how long after a load of the module all values are applied, by the udev rule and by ctkeeper
// in turns of five. A resize blocks its writer for an RCU grace period, whoever that is.
func (b *bench) measureLoads() error {
	wants := map[string]string{"max": "300000", "expect_max": "8192", "tcp_timeout_established": "7200"}
	if err := b.measureLoadsOf("no resize", wants); err != nil {
		return err
	}
	wants["buckets"] = "102400"
	return b.measureLoadsOf("with a resize", wants)
}

func (b *bench) measureLoadsOf(what string, wants map[string]string) error {
	progress("module loads, %s, n=%d", what, b.loads)
	if err := unloadModule(); err != nil {
		return err
	}
	for range b.loads / perTurn {
		if err := b.measureRound(what, "udev rule", wants, measureLoadWithRule); err != nil {
			return err
		}
		p, err := b.start(daemon{name: "load", wants: wants, rest: "enforcement:\n  resync: 1h\n"})
		if err != nil {
			return err
		}
		if err := errors.Join(b.measureRound(what, ours, wants, measureLoad), p.stop()); err != nil {
			return err
		}
	}
	_, err := exec.Command("modprobe", "nf_conntrack").CombinedOutput()
	return err
}

// measureRound measures some loads, one after the other.
func (b *bench) measureRound(
	what, program string, wants map[string]string, load func(map[string]string) (time.Duration, error),
) error {
	for range perTurn {
		took, err := load(wants)
		if err != nil {
			return err
		}
		b.report.add(series{
			Section: "load", Case: what, Program: program, Measure: "total", Unit: nanoseconds,
			Values: []float64{float64(took)},
		})
	}
	return nil
}

func measureLoadWithRule(wants map[string]string) (time.Duration, error) {
	var lines strings.Builder
	for name, value := range wants {
		fmt.Fprintf(&lines, "net.netfilter.nf_conntrack_%s = %s\n", name, value)
	}
	if err := writeFiles(map[string]string{ruleFile: rule, sysctlFile: lines.String()}); err != nil {
		return 0, err
	}
	defer os.Remove(ruleFile)
	defer os.Remove(sysctlFile)
	if err := udevadm("control", "--reload"); err != nil {
		return 0, err
	}
	took, err := measureLoad(wants)
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

// measureLoad loads the module and reads until all values are applied. The time begins when its files exist. It
// sleeps between two looks, because a reader that does not would take a processor from the program it measures.
func measureLoad(wants map[string]string) (time.Duration, error) {
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
	for read(settingFile("max")) == "" {
		if time.Since(begun) > giveUp {
			return 0, fmt.Errorf("the module was not loaded within %s", giveUp)
		}
		time.Sleep(lookPause)
	}
	loaded := time.Now()
	for !isApplied(wants) {
		if time.Since(loaded) > giveUp {
			return 0, fmt.Errorf("the values were not applied within %s", giveUp)
		}
		time.Sleep(lookPause)
	}
	took := time.Since(loaded)
	return took, loading.Wait()
}

// isApplied reports whether all settings have the wanted values. The hash size is read from the module parameter: a
// read of nf_conntrack_buckets during a write can undo that write (nf_conntrack_hash_sysctl keeps both in one
// variable).
func isApplied(wants map[string]string) bool {
	for name, value := range wants {
		file := settingFile(name)
		if name == "buckets" {
			file = "/sys/module/nf_conntrack/parameters/hashsize"
		}
		if read(file) != value {
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

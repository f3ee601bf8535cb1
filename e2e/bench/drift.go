package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// driftGap is the mean time between two writes to one keeper. Each of its settings is written every 20th time, so that
// none has the ten repairs in ten seconds that make it contested.
const driftGap = 60 * time.Millisecond

// A cell is where writer and keeper run while a drift is measured.
type cell struct {
	name           string
	writer, keeper []int // processors
	busy           bool  // each processor has another program that never sleeps
}

func cells() []cell {
	all := make([]int, runtime.NumCPU())
	for i := range all {
		all[i] = i
	}
	last := all[len(all)-1:]
	return []cell{
		{name: "same", writer: all[:1], keeper: all[:1]},
		{name: "other", writer: all[:1], keeper: last},
		{name: unpinned, writer: all, keeper: all},
		{name: "busy", writer: all, keeper: all, busy: true},
	}
}

const unpinned = "unpinned"

// measureDrift measures how long a foreign write lasts, with the minimal C program and ctkeeper written to in turn.
func (b *bench) measureDrift() error {
	wants := timeoutWants(len(timeouts))
	bare, err := b.startBare(wants)
	if err != nil {
		return err
	}
	defer func() { _ = bare.kill() }()
	ours, err := b.start(daemon{name: "drift", wants: wants, rest: "enforcement:\n  resync: 1h\n", own: true})
	if err != nil {
		return err
	}
	defer func() { _ = ours.stop() }()
	time.Sleep(settleTime)
	for _, c := range cells() {
		if len(b.cells) > 0 && !slices.Contains(b.cells, c.name) {
			continue
		}
		if err := b.measureCell(c, wants, bare, ours); err != nil {
			return err
		}
	}
	// A contested setting is repaired later and later, on purpose.
	if strings.Contains(read(filepath.Join(b.dir, "drift", "log")), "contested") {
		return errors.New("a setting was contested")
	}
	return nil
}

func (b *bench) measureCell(c cell, wants map[string]string, keepers ...*process) error {
	progress("drift, %s, n=%d", c.name, b.writes)
	for _, keeper := range keepers {
		if err := keeper.pin(c.keeper); err != nil {
			return err
		}
	}
	if c.busy {
		for _, processor := range c.writer {
			spinner, err := startOther("spinner", "sh", "-c", "while :; do :; done")
			if err != nil {
				return err
			}
			defer func() { _ = spinner.kill() }()
			if err := spinner.pin([]int{processor}); err != nil {
				return err
			}
		}
	}
	return b.writeTo("drift", c, b.writes, driftGap, wants, keepers...)
}

// writeTo runs the writer against keepers in turn, and adds the times until each repair to the report.
func (b *bench) writeTo(
	section string, c cell, count int, gap time.Duration, wants map[string]string, keepers ...*process,
) error {
	pids := make([]string, len(keepers))
	for i, keeper := range keepers {
		pids[i] = strconv.Itoa(keeper.cmd.Process.Pid)
	}
	args := append([]string{
		filepath.Join(b.helpers, "writer"), "drift", strconv.Itoa(count),
		strconv.FormatInt(gap.Microseconds()/int64(len(keepers)), 10), strings.Join(pids, ","),
	}, assignments(wants, "")...)
	if len(c.writer) > 0 {
		processors := strings.Trim(strings.ReplaceAll(fmt.Sprint(c.writer), " ", ","), "[]")
		args = append([]string{"taskset", "-c", processors}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("cannot run the writer: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		var keeper int
		var total, repair float64
		if _, err := fmt.Sscan(line, &keeper, &total, &repair); err != nil {
			return fmt.Errorf("cannot read %q of the writer: %w", line, err)
		}
		s := series{Section: section, Case: c.name, Program: keepers[keeper].name, Unit: nanoseconds}
		for measure, value := range map[string]float64{"total": total, "repair": repair} {
			s.Measure, s.Values = measure, []float64{value}
			b.report.add(s)
		}
	}
	return nil
}

// measureLoop measures a shell loop that applies a file each second. Its writes come at random times of that second.
func (b *bench) measureLoop() error {
	wants := timeoutWants(len(timeouts))
	file := filepath.Join(b.dir, "sysctl.conf")
	text := strings.Join(assignments(wants, "net.netfilter.nf_conntrack_"), "\n") + "\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return err
	}
	loop, err := startOther("sysctl -p each second", "sh", "-c", "while :; do sysctl -q -p "+file+"; sleep 1; done")
	if err != nil {
		return err
	}
	defer func() { _ = loop.kill() }()
	progress("drift, a shell loop, n=%d", b.slow)
	return b.writeTo("drift", cell{name: unpinned}, b.slow, time.Second, wants, loop)
}

package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// rates are foreign writes per second.
var rates = []int{1, 10, 100, 1000, 10_000, 100_000}

// measureStorm measures what a foreign writer that does not stop costs, and how long after it the value is wrong.
// Each rate has a setting of its own, because a contested one stays so for a while.
func (b *bench) measureStorm() error {
	wants := timeoutWants(len(timeouts))
	minimal, err := b.startBare(wants)
	if err != nil {
		return err
	}
	defer func() { _ = minimal.kill() }()
	p, err := b.start(daemon{name: "storm", wants: wants, rest: "enforcement:\n  resync: 1h\n", own: true})
	if err != nil {
		return err
	}
	defer func() { _ = p.stop() }()
	time.Sleep(settleTime)
	for i, rate := range rates {
		progress("storm, %d writes per second", rate)
		for _, keeper := range []*process{minimal, p} {
			if err := b.measureStormOf(keeper, rate, timeouts[i]+"="+wants[timeouts[i]]); err != nil {
				return fmt.Errorf("%s: %w", keeper.name, err)
			}
		}
	}
	return nil
}

func (b *bench) measureStormOf(keeper *process, rate int, assignment string) error {
	pid := keeper.cmd.Process.Pid
	writer := exec.Command(filepath.Join(b.helpers, "writer"), "storm", strconv.Itoa(rate),
		strconv.Itoa(int(b.storm.Seconds())), strconv.Itoa(pid), assignment)
	writer.Stderr = os.Stderr
	out, err := writer.StdoutPipe()
	if err != nil {
		return err
	}
	before, err := readUsage(pid)
	if err != nil {
		return err
	}
	if err := writer.Start(); err != nil {
		return err
	}
	lines := bufio.NewReader(out)
	var writes, took, right float64
	_, err = fmt.Fscanln(lines, &writes, &took)
	after, usageErr := readUsage(pid)
	if err := errors.Join(err, usageErr); err != nil {
		return err
	}
	_, err = fmt.Fscanln(lines, &right)
	if err := errors.Join(err, writer.Wait()); err != nil {
		return err
	}
	for _, s := range []series{
		{Measure: "writes", Unit: perSecond, Values: []float64{writes / took * float64(time.Second)}},
		{Measure: "CPU", Unit: percent, Values: []float64{100 * float64(after.cpu-before.cpu) / took}},
		{Measure: "right after", Unit: nanoseconds, Values: []float64{right}},
	} {
		s.Section, s.Case, s.Program = "storm", strconv.Itoa(rate), keeper.name
		b.report.add(s)
	}
	return nil
}

package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	// gap is the time between two foreign writes. Each setting is written once in a round, so none comes near the ten
	// repairs in ten seconds that make a setting contested.
	gap = 60 * time.Millisecond
	// catchUp is the time that a resumed program gets for the events that came while it was paused.
	catchUp = 30 * time.Millisecond
	giveUp  = 10 * time.Second
)

// measureRepairs measures how long a foreign write lasts, for each program in turn. The other program is paused
// meanwhile, because it would repair the write too.
func (b *bench) measureRepairs() error {
	wants := b.wants()
	config, err := b.configure(wants, "enforcement:\n  resync: 1h\n")
	if err != nil {
		return err
	}
	ours, err := b.startDaemon(config)
	if err != nil {
		return err
	}
	defer func() { _ = ours.stop() }()
	bare, err := b.startBare(wants)
	if err != nil {
		return err
	}
	defer func() { _ = bare.kill() }()

	var names []string
	for name := range wants {
		// A write of buckets makes the kernel rehash its table, which would take longer than what is measured.
		if name != "buckets" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var ourTimes, bareTimes []time.Duration
	for i := range b.writes {
		name := names[i%len(names)]
		for _, turn := range []struct {
			measured, other *process
			times           *[]time.Duration
		}{{ours, bare, &ourTimes}, {bare, ours, &bareTimes}} {
			took, err := measureRepair(turn.measured, turn.other, name, wants[name])
			if err != nil {
				return err
			}
			*turn.times = append(*turn.times, took)
		}
	}
	title := fmt.Sprintf("foreign write to repair, %d settings, n=%d each, interleaved", len(wants), b.writes)
	b.out.title(title, "ctkeeper", "bare C")
	b.out.quantiles(ourTimes, bareTimes)
	return nil
}

func measureRepair(measured, other *process, name, want string) (time.Duration, error) {
	if err := other.pause(); err != nil {
		return 0, err
	}
	if err := measured.resume(); err != nil {
		return 0, err
	}
	time.Sleep(catchUp + gap)
	return untilRepaired(name, want)
}

// untilRepaired writes another value and reads until the wanted one is back. It does not sleep between reads, because
// a repair takes microseconds.
func untilRepaired(name, want string) (time.Duration, error) {
	fd, err := syscall.Open(settingFile(name), syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer syscall.Close(fd)
	buf := make([]byte, 64)
	start := time.Now()
	if _, err := syscall.Pwrite(fd, []byte("777"), 0); err != nil {
		return 0, err
	}
	for {
		n, err := syscall.Pread(fd, buf, 0)
		took := time.Since(start)
		if err != nil {
			return 0, err
		}
		if strings.TrimSpace(string(buf[:n])) == want {
			return took, nil
		}
		if took > giveUp {
			return 0, fmt.Errorf("%s was not repaired within %s", name, giveUp)
		}
	}
}

// read returns the text of a file, or "" if it cannot be read.
func read(file string) string {
	content, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(content))
}

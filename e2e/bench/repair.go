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
	// gap between two foreign writes. Each setting is written once in a round, so
	// no setting comes near the ten repairs in ten seconds that make a contest.
	gap = 60 * time.Millisecond
	// settle is what a program gets after it was resumed to work off the events
	// that came while it was paused.
	settle = 30 * time.Millisecond
	giveUp = 10 * time.Second
)

// repairs measures, interleaved, how long a foreign write lasts under either
// program. The other one is paused meanwhile, or there would be two repairers.
func (b *bench) repairs() error {
	wants := b.wants()
	config, err := b.configure(wants, "enforcement:\n  resync: 1h\n")
	if err != nil {
		return err
	}
	ours, err := b.keeper(config)
	if err != nil {
		return err
	}
	defer func() { _ = ours.stop() }()
	bare, err := b.bareKeeper(wants)
	if err != nil {
		return err
	}
	defer func() { _ = bare.kill() }()

	var names []string
	for name := range wants {
		// The kernel rounds buckets and re-hashes on a write: what is measured
		// here is the keepers.
		if name != "buckets" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var ourTimes, bareTimes []time.Duration
	for i := range b.writes {
		name := names[i%len(names)]
		for _, turn := range []struct {
			of, other *process
			times     *[]time.Duration
		}{{ours, bare, &ourTimes}, {bare, ours, &bareTimes}} {
			took, err := oneRepair(turn.of, turn.other, name, wants[name])
			if err != nil {
				return err
			}
			*turn.times = append(*turn.times, took)
		}
	}
	b.out.title(fmt.Sprintf("foreign write to repair, %d settings kept, n=%d each, interleaved", len(wants), b.writes), "ctkeeper", "bare C")
	b.out.quantiles(ourTimes, bareTimes)
	return nil
}

func oneRepair(of, other *process, name, want string) (time.Duration, error) {
	if err := other.pause(); err != nil {
		return 0, err
	}
	if err := of.resume(); err != nil {
		return 0, err
	}
	time.Sleep(settle + gap)
	return untilRepaired(name, want)
}

// untilRepaired writes another value and reads until the wanted one is back. It
// does not sleep: what it measures takes microseconds.
func untilRepaired(name, want string) (time.Duration, error) {
	fd, err := syscall.Open(file(name), syscall.O_RDWR|syscall.O_CLOEXEC, 0)
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

func read(name string) string {
	content, err := os.ReadFile(file(name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(content))
}

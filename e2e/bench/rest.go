package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// clockTicks is USER_HZ, the unit of /proc/PID/stat (proc(5)): 100 on every architecture that Linux supports today.
const clockTicks = 100

// measureStarts measures the time from fork to READY, with the module loaded and all values applied.
func (b *bench) measureStarts() error {
	config, err := b.configure(b.wants(), "")
	if err != nil {
		return err
	}
	var times []time.Duration
	for range b.starts {
		p, err := b.startDaemon(config)
		if err != nil {
			return err
		}
		times = append(times, p.toReady)
		if err := p.stop(); err != nil {
			return err
		}
	}
	b.out.title(fmt.Sprintf("start to READY, n=%d", b.starts), "ctkeeper", "")
	b.out.quantiles(times, nil)
	return nil
}

// usage is what a process has used since its start.
type usage struct {
	cpu     time.Duration
	wakes   int // voluntary context switches
	rss     int // KiB
	peak    int // KiB
	threads int
}

// measureIdle measures what a daemon costs that has nothing to do, with the default resync.
func (b *bench) measureIdle() error {
	config, err := b.configure(b.wants(), "")
	if err != nil {
		return err
	}
	p, err := b.startDaemon(config)
	if err != nil {
		return err
	}
	defer func() { _ = p.stop() }()
	time.Sleep(2 * time.Second)
	before, err := readUsage(p.cmd.Process.Pid)
	if err != nil {
		return err
	}
	time.Sleep(b.quiet)
	after, err := readUsage(p.cmd.Process.Pid)
	if err != nil {
		return err
	}
	cpu := after.cpu - before.cpu
	wakes := after.wakes - before.wakes
	b.out.title(fmt.Sprintf("idle for %s", b.quiet), "ctkeeper", "")
	b.out.row("resident memory", fmt.Sprintf("%.1f MiB", float64(after.rss)/1024), "", "")
	b.out.row("peak of it", fmt.Sprintf("%.1f MiB", float64(after.peak)/1024), "", "")
	b.out.row("CPU time", cpu.String(), "", "")
	b.out.row("of one core", fmt.Sprintf("%.4f %%", 100*cpu.Seconds()/b.quiet.Seconds()), "", "")
	b.out.row("wake-ups", fmt.Sprintf("%d (%.2f/s)", wakes, float64(wakes)/b.quiet.Seconds()), "", "")
	b.out.row("threads", strconv.Itoa(after.threads), "", "")
	return nil
}

func readUsage(pid int) (usage, error) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	cpu, err := readCPUTime(dir)
	if err != nil {
		return usage{}, err
	}
	u := usage{cpu: cpu, rss: statusField(dir, "VmRSS"), peak: statusField(dir, "VmHWM")}
	tasks, err := filepath.Glob(filepath.Join(dir, "task/*"))
	for _, task := range tasks {
		u.threads++
		u.wakes += statusField(task, "voluntary_ctxt_switches")
	}
	return u, err
}

// readCPUTime sums the threads' time on a processor in nanoseconds (schedstat: the kernel's
// Documentation/scheduler/sched-stats.rst). The ticks of /proc/PID/stat are too coarse for a daemon that sleeps; they
// are used where schedstat does not exist.
func readCPUTime(dir string) (time.Duration, error) {
	files, err := filepath.Glob(filepath.Join(dir, "task/*/schedstat"))
	if err != nil || len(files) == 0 {
		return readTicks(filepath.Join(dir, "stat"))
	}
	sum := time.Duration(0)
	for _, f := range files {
		content, err := os.ReadFile(f)
		if err != nil {
			return 0, err
		}
		ns, err := strconv.ParseInt(strings.Fields(string(content))[0], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("cannot read %s: %w", f, err)
		}
		sum += time.Duration(ns)
	}
	return sum, nil
}

func readTicks(stat string) (time.Duration, error) {
	content, err := os.ReadFile(stat)
	if err != nil {
		return 0, err
	}
	// The command in parentheses can contain blanks; utime and stime are the 12th and 13th field behind it.
	text := string(content)
	fields := strings.Fields(text[strings.LastIndex(text, ")")+1:])
	sum := 0
	for _, field := range fields[11:13] {
		n, err := strconv.Atoi(field)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return time.Duration(sum) * time.Second / clockTicks, nil
}

// statusField returns a number of /proc/PID/status, or 0 if that has no such field.
func statusField(dir, name string) int {
	content, _ := os.ReadFile(filepath.Join(dir, "status"))
	for line := range strings.Lines(string(content)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			n, _ := strconv.Atoi(strings.Fields(value)[0])
			return n
		}
	}
	return 0
}

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// clockTicks is USER_HZ, in which /proc/PID/stat counts (proc(5)): 100 on every
// architecture that Linux runs on today.
const clockTicks = 100

// starting measures from fork to READY, the module there and all values right.
func (b *bench) starting() error {
	config, err := b.configure(b.wants(), "")
	if err != nil {
		return err
	}
	var times []time.Duration
	for range b.starts {
		p, err := b.keeper(config)
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

// usage is what a process has used so far.
type usage struct {
	cpu    time.Duration
	wakes  int
	rss    int // KiB
	peak   int // KiB
	thread int
}

// resting measures what a daemon costs that has nothing to do, at the default
// resync.
func (b *bench) resting() error {
	config, err := b.configure(b.wants(), "")
	if err != nil {
		return err
	}
	p, err := b.keeper(config)
	if err != nil {
		return err
	}
	defer func() { _ = p.stop() }()
	time.Sleep(2 * time.Second)
	before, err := used(p.cmd.Process.Pid)
	if err != nil {
		return err
	}
	time.Sleep(b.quiet)
	after, err := used(p.cmd.Process.Pid)
	if err != nil {
		return err
	}
	cpu := after.cpu - before.cpu
	wakes := after.wakes - before.wakes
	b.out.title(fmt.Sprintf("at rest for %s", b.quiet), "ctkeeper", "")
	b.out.row("resident memory", fmt.Sprintf("%.1f MiB", float64(after.rss)/1024), "", "")
	b.out.row("its peak", fmt.Sprintf("%.1f MiB", float64(after.peak)/1024), "", "")
	b.out.row("CPU time", cpu.String(), "", "")
	b.out.row("of one core", fmt.Sprintf("%.4f %%", 100*cpu.Seconds()/b.quiet.Seconds()), "", "")
	b.out.row("wake-ups", fmt.Sprintf("%d (%.2f/s)", wakes, float64(wakes)/b.quiet.Seconds()), "", "")
	b.out.row("threads", strconv.Itoa(after.thread), "", "")
	return nil
}

func used(pid int) (usage, error) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	cpu, err := cpuTime(dir)
	if err != nil {
		return usage{}, err
	}
	u := usage{cpu: cpu, rss: statusField(dir, "VmRSS"), peak: statusField(dir, "VmHWM")}
	tasks, err := filepath.Glob(filepath.Join(dir, "task/*"))
	for _, task := range tasks {
		u.thread++
		u.wakes += statusField(task, "voluntary_ctxt_switches")
	}
	return u, err
}

// cpuTime sums the threads' time on a processor in nanoseconds (schedstat, the
// kernel's Documentation/scheduler/sched-stats.rst): the ticks of /proc/PID/stat
// would show a daemon that sleeps as zero. They serve where there is nothing
// else.
func cpuTime(dir string) (time.Duration, error) {
	files, err := filepath.Glob(filepath.Join(dir, "task/*/schedstat"))
	if err != nil || len(files) == 0 {
		return ticks(filepath.Join(dir, "stat"))
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

func ticks(stat string) (time.Duration, error) {
	content, err := os.ReadFile(stat)
	if err != nil {
		return 0, err
	}
	// The name in parentheses may hold blanks; utime and stime are the 12th and
	// 13th field after it.
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

// statusField gives a number of /proc/.../status, 0 where it is not there.
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

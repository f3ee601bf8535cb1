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

// usage is what processes have used since their start, and the memory that they have.
type usage struct {
	cpu          time.Duration
	wakes        int // voluntary context switches
	rss, rssFile int // KiB
	pssAnonymous int // KiB
	huge         int // KiB of it in huge pages, most of which may never have been used
}

// usages returns the usage of each program's processes.
func usages(pids map[string][]int) (map[string]usage, error) {
	all := map[string]usage{}
	for program, list := range pids {
		sum := usage{}
		for _, pid := range list {
			u, err := readUsage(pid)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", program, err)
			}
			sum.cpu += u.cpu
			sum.wakes += u.wakes
			sum.rss += u.rss
			sum.rssFile += u.rssFile
			sum.pssAnonymous += u.pssAnonymous
			sum.huge += u.huge
		}
		all[program] = sum
	}
	return all, nil
}

func readUsage(pid int) (usage, error) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	cpu, err := readCPUTime(dir)
	if err != nil {
		return usage{}, err
	}
	u := usage{cpu: cpu, rss: field(dir, "status", "VmRSS")}
	// Files of an initramfs are shared memory.
	u.rssFile = field(dir, "status", "RssFile") + field(dir, "status", "RssShmem")
	u.pssAnonymous = field(dir, "smaps_rollup", "Pss_Anon")
	u.huge = field(dir, "smaps_rollup", "AnonHugePages")
	tasks, err := filepath.Glob(filepath.Join(dir, "task/*"))
	for _, task := range tasks {
		u.wakes += field(task, "status", "voluntary_ctxt_switches")
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

// field returns a number of a file of /proc/PID, or 0 if that has no such field.
func field(dir, file, name string) int {
	for line := range strings.Lines(read(filepath.Join(dir, file))) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			n, _ := strconv.Atoi(strings.Fields(value)[0])
			return n
		}
	}
	return 0
}

package process

import (
	"path"
	"strconv"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

const (
	// maxProcesses limits how many processes are read.
	maxProcesses = 20_000
	// maxCommandLine is the longest command line that is read, in bytes.
	maxCommandLine = 64 << 10
)

// Process is a running process of user space.
type Process struct {
	PID int
	// Args is the command line, with the program as the first word (proc_pid_cmdline(5)).
	Args []string
	// OtherNetns is true if the process is known to run in another network namespace than init: it cannot
	// set the host's values.
	OtherNetns bool
}

// Program returns the base name of the program.
func (p Process) Program() string { return path.Base(p.Args[0]) }

// File returns the file of the command line.
func (p Process) File() string { return path.Join("/proc", strconv.Itoa(p.PID), "cmdline") }

// List returns the running processes. A process that ends meanwhile, and a kernel thread, which has no
// command line, is not in it. A disk has none.
func List(t tree.Tree) []Process {
	names, _ := t.List("/proc") // no /proc: no processes
	var all []Process
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || len(all) == maxProcesses {
			continue
		}
		p := Process{PID: pid}
		text, err := t.Read(p.File(), maxCommandLine)
		if line := strings.TrimRight(string(text), "\x00"); err == nil && line != "" {
			p.Args = strings.Split(line, "\x00")
			p.OtherNetns = isOtherNetns(t, name)
			all = append(all, p)
		}
	}
	return all
}

// isOtherNetns reports whether a process has another network namespace than init. Only root may see that of
// every process.
func isOtherNetns(t tree.Tree, pid string) bool {
	own, err := t.Readlink("/proc/" + pid + "/ns/net")
	first, errFirst := t.Readlink("/proc/1/ns/net")
	return err == nil && errFirst == nil && own != first
}

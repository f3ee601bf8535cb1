package slice

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// short is the least slice that the kernel takes (__setparam_fair in kernel/sched/syscalls.c).
const short = 100 * time.Microsecond

// maxRounds bounds how often the threads of a process that starts more of them are listed.
const maxRounds = 10

// Shorten gives every thread of a process a slice of 0.1 ms; pid 0 is this process. Threads that they start
// later inherit it. Kernels before 6.12 ignore it. It needs no capability for a process of the same user, and
// CAP_SYS_NICE for another one. The error is EPERM where the call is filtered (seccomp(2)).
//
// All threads of a Go program get it, because any of them may run a goroutine: one that is locked to a thread is
// started through another thread, which costs more than it gains.
func Shorten(pid int) error {
	process := "self"
	if pid != 0 {
		process = strconv.Itoa(pid)
	}
	done := map[int]bool{}
	for range maxRounds { // a thread may have started another one before it had the slice itself
		threads, err := os.ReadDir(filepath.Join("/proc", process, "task"))
		if err != nil {
			return fmt.Errorf("cannot list the threads: %w", err)
		}
		isNew := false
		for _, thread := range threads {
			id, err := strconv.Atoi(thread.Name())
			if err != nil || done[id] {
				continue
			}
			done[id], isNew = true, true
			if err := shorten(id); err != nil && !errors.Is(err, unix.ESRCH) { // it has ended meanwhile
				return fmt.Errorf("cannot set the slice of thread %d: %w", id, err)
			}
		}
		if !isNew {
			break
		}
	}
	return nil
}

func shorten(thread int) error {
	attr, err := unix.SchedGetAttr(thread, 0)
	if err != nil {
		return err
	}
	attr.Runtime = uint64(short)
	return unix.SchedSetAttr(thread, attr, 0)
}

package priority

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// slice is the least one that the kernel takes (__setparam_fair in kernel/sched/syscalls.c).
	slice = 100 * time.Microsecond
	// nice gives ten times the weight of a usual thread (sched_prio_to_weight).
	nice = -10
	// maxRounds bounds how often the threads of a process that starts more of them are listed.
	maxRounds = 10
)

// Raise gives every thread of a process a slice of 0.1 ms and the nice value -10; pid 0 is this process. Threads
// that they start later inherit both. Kernels before 6.12 ignore the slice. The nice value needs CAP_SYS_NICE and
// is left out without it; so does a process of another user. The error is EPERM where the call is filtered
// (seccomp(2)).
//
// All threads of a Go program get it, because any of them may run a goroutine: one that is locked to a thread is
// started through another thread, which costs more than it gains.
func Raise(pid int) error {
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
			if err := raise(id); err != nil && !errors.Is(err, unix.ESRCH) { // it has ended meanwhile
				return fmt.Errorf("cannot set the priority of thread %d: %w", id, err)
			}
		}
		if !isNew {
			break
		}
	}
	return nil
}

func raise(thread int) error {
	attr, err := unix.SchedGetAttr(thread, 0)
	if err != nil {
		return err
	}
	attr.Runtime = uint64(slice)
	usual := attr.Nice
	attr.Nice = min(usual, nice)
	if err = unix.SchedSetAttr(thread, attr, 0); errors.Is(err, unix.EPERM) {
		attr.Nice = usual
		err = unix.SchedSetAttr(thread, attr, 0)
	}
	return err
}

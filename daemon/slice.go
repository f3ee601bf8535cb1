package daemon

import (
	"errors"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// slice is the scheduling slice that shortenSlice asks for: the least that the kernel takes
// (__setparam_fair in kernel/sched/syscalls.c).
const slice = 100 * time.Microsecond

// shortenSlice asks the scheduler for a short slice for the threads of this process, and so for those that
// they will start: they inherit it. A thread with a short slice that wakes up runs before one with a long slice
// that is running (EEVDF, Linux 6.12 and later, sched_setattr(2)). So a repair does not wait for
// the slice of the process that made it necessary, some milliseconds. It needs no capability and takes
// no time from others: the share of the processor stays the same. Earlier kernels ignore it.
//
// All threads get it because any of them may run the goroutine that repairs: a goroutine that is locked to
// a thread is started through another one, which costs more than it gains.
func shortenSlice() error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			return err
		}
		attr, err := unix.SchedGetAttr(id, 0)
		if err == nil {
			attr.Runtime = uint64(slice)
			err = unix.SchedSetAttr(id, attr, 0)
		}
		if err != nil && !errors.Is(err, unix.ESRCH) { // a thread that has ended meanwhile
			return err
		}
	}
	return nil
}

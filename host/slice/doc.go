// Package slice gives a process a short slice of the processor. A thread with a short slice that wakes up runs
// before one with a long slice that is running (EEVDF, Linux 6.12 and later, sched_setattr(2)). So a repair does
// not wait for the slice of the process that made it necessary, some milliseconds. It takes no time from others:
// the share of the processor stays the same.
package slice

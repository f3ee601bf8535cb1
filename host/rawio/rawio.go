// Package rawio reads and writes the kernel's small files in /proc and /sys by raw system calls: the
// scheduler of the Go runtime is not told of them. Its monitor thread (sysmon) then sleeps on, and the
// caller keeps its processor. That is right only for calls that cannot block, because a blocked one would
// stop the garbage collector: the value of a sysctl, not a log, a pipe, or a hash table to fill.
package rawio

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Read reads from the begin of a file into buf, which must not be empty. It returns the number of bytes, or
// the error of preadv(2), 0 for none.
func Read(fd int, buf []byte) (int, syscall.Errno) { return call(unix.SYS_PREADV, fd, buf) }

// Write writes buf, which must not be empty, to the begin of a file. It returns the number of bytes, or the
// error of pwritev(2), 0 for none.
func Write(fd int, buf []byte) (int, syscall.Errno) { return call(unix.SYS_PWRITEV, fd, buf) }

// call makes a preadv or pwritev at offset 0: unlike pread, it has the same arguments on every processor.
func call(trap uintptr, fd int, buf []byte) (int, syscall.Errno) {
	vector := unix.Iovec{Base: &buf[0]}
	vector.SetLen(len(buf))
	for {
		n, _, errno := syscall.RawSyscall6(trap, uintptr(fd), uintptr(unsafe.Pointer(&vector)), 1, 0, 0, 0)
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

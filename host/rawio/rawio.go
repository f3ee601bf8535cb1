package rawio

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Read reads from the begin of a file into buf, which must not be empty. It returns the number of bytes, or
// the error of pread(2), 0 for none.
func Read(fd int, buf []byte) (int, syscall.Errno) { return call(unix.SYS_PREAD64, fd, buf) }

// Write writes buf, which must not be empty, to the begin of a file. It returns the number of bytes, or the
// error of pwrite(2), 0 for none.
func Write(fd int, buf []byte) (int, syscall.Errno) { return call(unix.SYS_PWRITE64, fd, buf) }

// Next reads what a descriptor such as that of inotify(7) has ready into buf, which must not be empty. The
// descriptor must be non-blocking: the error is EAGAIN where nothing is ready.
func Next(fd uintptr, buf []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)))
	return int(n), errno
}

// ReadAll reads a file from its begin until its end, or until buf is full, which must not be empty. It
// returns the number of bytes, or the error of lseek(2) or read(2), 0 for none.
func ReadAll(fd int, buf []byte) (int, syscall.Errno) {
	if _, _, errno := syscall.RawSyscall(unix.SYS_LSEEK, uintptr(fd), 0, unix.SEEK_SET); errno != 0 {
		return 0, errno
	}
	at := 0
	for at < len(buf) {
		n, errno := Next(uintptr(fd), buf[at:])
		switch {
		case errno == unix.EINTR:
			continue
		case errno != 0:
			return 0, errno
		case n == 0:
			return at, 0
		}
		at += n
	}
	return at, 0
}

// Yield lets another thread that waits for this processor run first (sched_yield(2)).
func Yield() { _, _, _ = syscall.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }

// call makes a pread64 or pwrite64 at offset 0. Processors differ in which registers have the offset, but
// all of them are 0.
func call(trap uintptr, fd int, buf []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(
			trap, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0, 0, 0)
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

package sysfs_test

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

func ioctl(fd int, request uintptr, text *byte) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(text)))
	if errno != 0 {
		return errno
	}
	return nil
}

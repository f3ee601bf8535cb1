package alarm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/host/rawio"
)

// Alarm is one timer of the kernel's monotonic clock, which stands still while the machine is suspended.
type Alarm struct {
	file *os.File
	fd   uintptr
	raw  syscall.RawConn
}

// New makes an alarm that is not set.
func New() (*Alarm, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("cannot make a timer: %w", err)
	}
	a := &Alarm{file: os.NewFile(uintptr(fd), "timerfd"), fd: uintptr(fd)}
	if a.raw, err = a.file.SyscallConn(); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot make a timer: %w", err), a.file.Close())
	}
	return a, nil
}

// Set makes Wait return after d, in place of the time that was set before: at once where d is 0 or less. It
// may be called from any goroutine until Close.
func (a *Alarm) Set(d time.Duration) {
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(max(d, 1)))} // 0 would stop the timer
	// It cannot fail: the descriptor and the time are valid. The raw call cannot block.
	_, _, _ = syscall.RawSyscall6(unix.SYS_TIMERFD_SETTIME, a.fd, 0, uintptr(unsafe.Pointer(&spec)), 0, 0, 0)
}

// Wait returns when the alarm rings, or with the error of ctx when it ends.
func (a *Alarm) Wait(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { _ = a.file.SetReadDeadline(time.Unix(1, 0)) })()
	var count [8]byte
	for {
		var errno syscall.Errno
		err := a.raw.Read(func(fd uintptr) bool {
			_, errno = rawio.Next(fd, count[:])
			return errno != unix.EAGAIN
		})
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return fmt.Errorf("cannot wait for the timer: %w", err)
		case errno == 0 && binary.NativeEndian.Uint64(count[:]) > 0:
			return nil
		case errno != 0 && errno != unix.EINTR:
			return fmt.Errorf("cannot wait for the timer: %w", errno)
		}
	}
}

// Close ends the alarm. No Wait may be under way, and no Set may follow.
func (a *Alarm) Close() error { return a.file.Close() }

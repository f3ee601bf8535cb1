package inotify

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/host/rawio"
)

// bufferSize has room for a hundred events or more, each with a name of at most NAME_MAX bytes.
const bufferSize = 32 << 10

// Event is one event.
type Event struct {
	// Watch is what Add returned; -1 for an overflow of the queue (IN_Q_OVERFLOW).
	Watch int32
	Mask  uint32
	// Name is the entry of a watched directory, or empty for the watched file itself.
	Name string
}

// Queue is an inotify instance. Add and Close may be called while Read waits.
type Queue struct {
	file *os.File
	conn syscall.RawConn
	buf  [bufferSize]byte
}

// New returns an empty queue.
func New() (*Queue, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("cannot create an inotify instance: %w", err)
	}
	q := &Queue{file: os.NewFile(uintptr(fd), "inotify")}
	if q.conn, err = q.file.SyscallConn(); err != nil {
		return nil, errors.Join(err, q.file.Close())
	}
	return q, nil
}

// Add watches a file or directory for the events of mask, and returns the watch's number: the same one for
// two paths of one inode.
func (q *Queue) Add(path string, mask uint32) (int32, error) {
	watch, err := 0, os.ErrClosed
	_ = q.conn.Control(func(fd uintptr) { // it fails after Close only
		watch, err = unix.InotifyAddWatch(int(fd), path, mask)
	})
	return int32(watch), err
}

// Read waits for events and returns them. It returns os.ErrDeadlineExceeded at the deadline; the zero time is
// none. After Close it returns os.ErrClosed.
func (q *Queue) Read(deadline time.Time) ([]Event, error) {
	_ = q.SetDeadline(deadline) // it fails after Close only, as Wait does
	var events []Event
	err := q.Wait(func(watch int32, mask uint32, name []byte) {
		events = append(events, Event{Watch: watch, Mask: mask, Name: string(name)})
	})
	return events, err
}

// Wait waits for events, and calls handle for each with the fields of an Event. name is valid until handle
// returns. Between an event and handle there are no other goroutine, no allocation and no wake-up of the
// runtime's monitor thread. It returns os.ErrDeadlineExceeded at the deadline and os.ErrClosed after Close.
func (q *Queue) Wait(handle func(watch int32, mask uint32, name []byte)) error {
	var n int
	var errno syscall.Errno
	err := q.conn.Read(func(fd uintptr) bool {
		n, errno = rawio.Next(fd, q.buf[:])
		return errno != unix.EAGAIN
	})
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return err
	case err != nil: // the poller has an error of its own
		return os.ErrClosed
	case errno != 0 && errno != unix.EINTR:
		return os.NewSyscallError("read", errno)
	case errno == 0:
		parse(q.buf[:n], handle)
	}
	return nil
}

// SetDeadline makes a Wait of now, and later ones, end at a time; the zero time is none.
func (q *Queue) SetDeadline(deadline time.Time) error { return q.file.SetReadDeadline(deadline) }

// Close ends all watches.
func (q *Queue) Close() error { return q.file.Close() }

// parse calls handle for the events of a read (struct inotify_event).
func parse(buf []byte, handle func(watch int32, mask uint32, name []byte)) {
	for len(buf) >= unix.SizeofInotifyEvent {
		end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(buf[12:]))
		name, _, _ := bytes.Cut(buf[unix.SizeofInotifyEvent:end], []byte{0})
		handle(int32(binary.NativeEndian.Uint32(buf)), binary.NativeEndian.Uint32(buf[4:]), name)
		buf = buf[end:]
	}
}

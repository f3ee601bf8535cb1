package sysfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/host/rawio"
)

const (
	// readSize is the buffer of one read(2) of inotify(7), in bytes: over a hundred events.
	readSize = 8 << 10
	// A reader that hears more often than stormEvents times in stormWindow pauses for stormPause after
	// each read. Meanwhile the kernel merges equal events.
	stormEvents = 100
	stormWindow = time.Second
	stormPause  = 10 * time.Millisecond
)

// dirReader hears of writes to the files of one directory, through inotify(7). It waits in the runtime's
// poller and reads with raw system calls: between an event and its handler there are no other goroutine, no
// lock and no wake-up of the runtime's monitor. fsnotify has all three.
type dirReader struct {
	dir  string
	file *os.File
	raw  syscall.RawConn
	buf  [readSize]byte
}

func newDirReader(dir string) (*dirReader, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("inotify_init1: %w", err)
	}
	r := &dirReader{dir: dir, file: os.NewFile(uintptr(fd), "inotify")}
	if r.raw, err = r.file.SyscallConn(); err != nil {
		return nil, errors.Join(err, r.file.Close())
	}
	return r, nil
}

// arm sets the watch. On a directory that is watched already it changes nothing.
func (r *dirReader) arm() error {
	var err error
	control := r.raw.Control(func(fd uintptr) {
		_, err = unix.InotifyAddWatch(int(fd), r.dir, unix.IN_MODIFY|unix.IN_ONLYDIR)
	})
	return errors.Join(control, err)
}

// run calls wrote with the name of each file that was written, until ctx ends. A file that was written
// several times in a row is one event. wrote gets no name where the kernel's queue overflowed.
func (r *dirReader) run(ctx context.Context, wrote func(name []byte)) error {
	defer context.AfterFunc(ctx, func() { _ = r.file.SetReadDeadline(time.Unix(1, 0)) })()
	var storm stormGauge
	for {
		n, err := r.read()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return err
		}
		for rest := r.buf[:n]; len(rest) >= unix.SizeofInotifyEvent; {
			event := (*unix.InotifyEvent)(unsafe.Pointer(&rest[0]))
			end := unix.SizeofInotifyEvent + int(event.Len)
			name, _, _ := bytes.Cut(rest[unix.SizeofInotifyEvent:end], []byte{0})
			switch rest = rest[end:]; {
			case event.Mask&unix.IN_Q_OVERFLOW != 0:
				wrote(nil)
			case event.Mask&unix.IN_MODIFY != 0:
				wrote(name)
			}
		}
		if storm.isOn(time.Now()) {
			time.Sleep(stormPause)
		}
	}
}

// read waits for events and reads them into buf.
func (r *dirReader) read() (int, error) {
	var n int
	var errno syscall.Errno
	err := r.raw.Read(func(fd uintptr) bool {
		n, errno = rawio.Next(fd, r.buf[:])
		return errno != unix.EAGAIN
	})
	switch {
	case err != nil:
		return 0, err
	case errno == unix.EINTR:
		return 0, nil
	case errno != 0:
		return 0, errno
	}
	return n, nil
}

func (r *dirReader) close() error { return r.file.Close() }

// stormGauge counts the reads of a window.
type stormGauge struct {
	since time.Time
	reads int
}

// isOn counts a read, and reports whether there are too many of them.
func (g *stormGauge) isOn(now time.Time) bool {
	if now.Sub(g.since) > stormWindow {
		g.since, g.reads = now, 0
	}
	g.reads++
	return g.reads > stormEvents
}

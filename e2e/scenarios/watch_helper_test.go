//go:build guest

package scenarios

import (
	"bytes"
	"encoding/binary"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A writeLog records, in order, every write to conntrack's files through this machine's /proc and /sys: by the daemon
// and by the scenario. inotify may merge writes to one file in quick succession.
type writeLog struct {
	fd   int
	dirs map[int32]string

	mu     sync.Mutex
	writes []string
}

// logWrites starts a log. The module must be loaded and stay loaded: a watch below /sys/module ends with it.
func logWrites(t *testing.T) *writeLog {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	w := &writeLog{fd: fd, dirs: map[int32]string{}}
	for _, dir := range []string{sysctlDir, filepath.Dir(alias), paramDir} {
		wd, err := unix.InotifyAddWatch(fd, dir, unix.IN_MODIFY)
		if err != nil {
			t.Fatal(err)
		}
		w.dirs[int32(wd)] = dir
	}
	done := make(chan struct{})
	go w.read(done)
	t.Cleanup(func() { close(done) })
	return w
}

// read polls, because nothing would end a blocking read when the scenario ends.
func (w *writeLog) read(done chan struct{}) {
	defer unix.Close(w.fd)
	buf := make([]byte, 64<<10)
	for {
		n, err := unix.Read(w.fd, buf)
		if err == nil {
			w.parse(buf[:n])
			continue
		}
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			return
		}
		select {
		case <-done:
			return
		case <-time.After(time.Millisecond):
		}
	}
}

// parse adds events to the log: struct inotify_event is wd, mask, cookie, length, name (inotify(7)).
func (w *writeLog) parse(buf []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(buf) >= unix.SizeofInotifyEvent {
		wd := int32(binary.NativeEndian.Uint32(buf))
		mask := binary.NativeEndian.Uint32(buf[4:])
		end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(buf[12:]))
		name := string(bytes.TrimRight(buf[unix.SizeofInotifyEvent:end], "\x00"))
		if mask&unix.IN_MODIFY != 0 {
			w.writes = append(w.writes, filepath.Join(w.dirs[wd], name))
		}
		if mask&unix.IN_Q_OVERFLOW != 0 {
			w.writes = append(w.writes, "overflow")
		}
		buf = buf[end:]
	}
}

// files returns the files written since the start of the log or the last reset. It waits a moment for read.
func (w *writeLog) files() []string {
	time.Sleep(50 * time.Millisecond)
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.writes...)
}

func (w *writeLog) reset() {
	time.Sleep(50 * time.Millisecond)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writes = nil
}

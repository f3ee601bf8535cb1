package daemon

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/host/logging"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/systemd"
)

const (
	// historyMode lets the members of the service's group read, as the socket does.
	historyMode = 0o640
	// maxHistoryLines is when the file is replaced by the last historySize events.
	maxHistoryLines = 2 * historySize
	// maxHistoryFile is how much of the file is read, from its end.
	maxHistoryFile = 8 << 20
	// maxHistoryLine, in bytes, is more than any event takes: three texts of maxText, escaped.
	maxHistoryLine = 256 << 10
	// A write that failed is retried after firstStoreRetry, doubling up to maxStoreRetry.
	firstStoreRetry = time.Second
	maxStoreRetry   = 5 * time.Minute
)

// ReadHistory reads the newest events in the file at path, oldest first, and counts the corrupt lines among
// them. The error is fs.ErrNotExist where there is no such file.
func ReadHistory(path string) (events []reconcile.Event, corrupt int, err error) {
	entries, _, corrupt, err := readHistory(path)
	return decode(entries), corrupt, err
}

// readHistory is ReadHistory with the number of the file's lines: maxHistoryLines where there
// may be more than were read.
func readHistory(path string) (entries []entry, lines, corrupt int, err error) {
	file, err := openHistory(path, os.O_RDONLY)
	if err != nil {
		return nil, 0, 0, fmt.Errorf("cannot read the history: %w", err)
	}
	defer func() { _ = file.Close() }() // it was only read
	info, err := file.Stat()
	if err == nil {
		skip := max(0, info.Size()-maxHistoryFile)
		entries, lines, corrupt, err = parseHistory(io.NewSectionReader(file, skip, maxHistoryFile))
	}
	if err != nil {
		return nil, 0, 0, fmt.Errorf("cannot read the history: %w", err)
	}
	if info.Size() > maxHistoryFile/2 { // longer than any that ctkeeper wrote
		lines = maxHistoryLines
	}
	return entries, lines, corrupt, nil
}

// parseHistory returns the events of the last historySize lines, and counts all lines and the corrupt ones
// of those: a crash of the host can leave the last one incomplete. Only one line is in memory at a time, and
// others may run after each: decoding them all takes some milliseconds.
func parseHistory(text io.ReadSeeker) (entries []entry, lines, corrupt int, err error) {
	in := bufio.NewReaderSize(text, maxHistoryLine)
	var starts [historySize]int64 // of the last lines
	var offset int64
	for {
		_, length, err := nextLine(in)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, 0, 0, err
		}
		starts[lines%historySize] = offset
		lines++
		offset += int64(length)
	}
	first := int64(0)
	if lines > historySize {
		first = starts[lines%historySize]
	}
	if _, err := text.Seek(first, io.SeekStart); err != nil {
		return nil, 0, 0, err
	}
	in.Reset(text)
	var e reconcile.Event
	for range min(lines, historySize) {
		line, length, err := nextLine(in)
		if err != nil {
			return nil, 0, 0, err
		}
		line, e = bytes.TrimSpace(line), reconcile.Event{}
		switch {
		case len(line) == 0 && length <= maxHistoryLine: // an empty line
		case json.Unmarshal(line, &e) != nil || e.At.IsZero() || e.Kind == "":
			corrupt++
		default:
			entries = append(entries, entry{e.At, slices.Concat(line, []byte{'\n'})})
		}
		runtime.Gosched()
	}
	return entries, lines, corrupt, nil
}

// nextLine returns a line and its length. A line that is longer than the buffer is returned as nil.
func nextLine(in *bufio.Reader) (line []byte, length int, err error) {
	line, err = in.ReadSlice('\n')
	length = len(line)
	for errors.Is(err, bufio.ErrBufferFull) {
		line, err = in.ReadSlice('\n')
		length += len(line)
		line = nil
	}
	if err == io.EOF && length > 0 {
		err = nil
	}
	return line, length, err
}

// historyFile keeps the history over restarts, one event a line. The file is opened for each
// write: events are rare, and a file that was removed or renamed is created again.
type historyFile struct {
	path  string
	lines int // an upper bound of its lines
}

// append adds events. It does not sync: what was written survives the daemon's end anyway, and
// waiting for a slow disk at every drift costs more than what a power cut could lose.
func (f *historyFile) append(events []entry) (err error) {
	file, err := f.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	var text []byte
	if lacksNewline(file) {
		text = []byte{'\n'}
	}
	text = append(text, encodeLines(events)...)
	f.lines += len(events)
	if _, err := file.Write(text); err != nil {
		return fmt.Errorf("cannot write the history: %w", err)
	}
	return nil
}

// open opens the file for appending, and creates it.
func (f *historyFile) open() (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o750); err != nil {
		return nil, fmt.Errorf("cannot make the history's directory: %w", err)
	}
	file, err := openHistory(f.path, os.O_RDWR|os.O_APPEND|os.O_CREATE)
	if err != nil {
		return nil, fmt.Errorf("cannot open the history: %w", err)
	}
	info, err := file.Stat()
	if err == nil && info.Mode().Perm() != historyMode { // the unit's umask is stricter, for its other files
		err = file.Chmod(historyMode)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot open the history: %w", err), file.Close())
	}
	return file, nil
}

// openHistory opens the file, which has to be a regular one and no symbolic link. Its directory is the service's
// user's: root must not follow a link of that user's to a file that only root may use, and reading /proc/kmsg takes
// the kernel's messages from others. Opening or writing a pipe in its place would block.
func openHistory(path string, flags int) (*os.File, error) {
	file, err := os.OpenFile(path, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK, historyMode)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: path, Err: tree.ErrNotRegular}
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// lacksNewline reports whether the last line is incomplete.
func lacksNewline(file *os.File) bool {
	info, err := file.Stat()
	if err != nil || info.Size() == 0 {
		return false
	}
	last := []byte{0}
	_, err = file.ReadAt(last, info.Size()-1)
	return err == nil && last[0] != '\n'
}

// rewrite replaces the file atomically by these events.
func (f *historyFile) rewrite(events []entry) error {
	if err := tree.At("").Replace(f.path, encodeLines(events), historyMode); err != nil {
		return fmt.Errorf("cannot write the history: %w", err)
	}
	f.lines = len(events)
	return nil
}

func encodeLines(events []entry) []byte {
	var out []byte
	for _, e := range events {
		out = append(out, e.line...)
	}
	return out
}

// storeHistory reads the file of the last daemon, then writes each event to it, until ctx ends.
// It is a task of its own: a full or hanging disk must not keep a setting from being repaired.
func (d *Daemon) storeHistory(ctx context.Context) error {
	sleep(ctx, 0, d.announced)
	file := &historyFile{path: d.opts.History}
	if ctx.Err() == nil {
		d.loadHistory(file)
		debug.FreeOSMemory() // the start needed more than what follows
	}
	retry, stored := firstStoreRetry, 0
	for ctx.Err() == nil {
		events, next, added := d.recorder.history.from(stored)
		if len(events) == 0 {
			sleep(ctx, 0, added)
			continue
		}
		err := file.store(events, d.recorder.history)
		if err == nil {
			retry, stored = firstStoreRetry, next
			continue
		}
		if retry == firstStoreRetry { // logged once, until a write succeeds
			d.opts.Log.Warn("history: cannot write the file, retrying; until then a restart would lose events",
				logging.Error(err))
		}
		sleep(ctx, retry, nil)
		retry = min(2*retry, maxStoreRetry)
	}
	if events, _, _ := d.recorder.history.from(stored); len(events) > 0 && retry == firstStoreRetry {
		_ = file.append(events) // the last attempt; an error of the ones before was logged
	}
	return ctx.Err()
}

// store appends events, or replaces a file that has become long by the whole history.
func (f *historyFile) store(events []entry, h *history) error {
	if f.lines+len(events) <= maxHistoryLines {
		return f.append(events)
	}
	all, _, _ := h.from(oldest)
	return f.rewrite(all)
}

// loadHistory puts the events of the last daemon before those of this one.
func (d *Daemon) loadHistory(file *historyFile) {
	events, lines, corrupt, err := readHistory(file.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return
	case err != nil:
		d.opts.Log.Warn("history: cannot read the file, starting empty", logging.Error(err))
		return
	}
	d.recorder.history.prepend(events)
	if file.lines = lines; corrupt > 0 {
		d.opts.Log.Warn("history: skipped corrupt lines", logging.Int(systemd.KeyCount, corrupt))
	}
}

package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/systemd"
)

const (
	// historyMode lets the members of the service's group look, as at the socket.
	historyMode = 0o640
	// maxHistoryLines is when the file is written anew with the last historySize events.
	maxHistoryLines = 2 * historySize
	// maxHistoryFile is how much of the file is read, from its end.
	maxHistoryFile = 8 << 20
	// A disk that takes nothing is tried again after this long, doubling.
	firstStoring = time.Second
	maxStoring   = 5 * time.Minute
)

// ReadHistory reads the events that a daemon left in the file at path, oldest first, and how
// many lines of it are none. The error is fs.ErrNotExist where there is no such file.
func ReadHistory(path string) ([]reconcile.Event, int, error) {
	text, err := tree.At("").Tail(path, maxHistoryFile)
	if err != nil {
		return nil, 0, fmt.Errorf("cannot read the history: %w", err)
	}
	events, _, foreign := parseHistory(text)
	return events, foreign, nil
}

// parseHistory reads one event a line, at most the last historySize, and counts the lines, and
// those that are none: the last one is torn where the host went down in the middle of it.
func parseHistory(text []byte) (events []reconcile.Event, lines, foreign int) {
	for line := range bytes.Lines(text) {
		lines++
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		var e reconcile.Event
		if json.Unmarshal(line, &e) != nil || e.At.IsZero() || e.Kind == "" {
			foreign++
			continue
		}
		if events = append(events, e); len(events) == maxHistoryLines {
			events = append(events[:0], events[historySize:]...)
		}
	}
	return events[max(0, len(events)-historySize):], lines, foreign
}

// historyFile keeps the history over restarts, one event a line. The file is opened for each
// writing: events are rare, and a file that was taken away or moved comes anew.
type historyFile struct {
	path  string
	lines int // at most these are in it
}

// append adds events. It does not sync: what a daemon wrote survives its end by itself, and
// for what a power cut takes a wait at every drift, on a disk that may be slow, is too dear.
func (f *historyFile) append(events []reconcile.Event) (err error) {
	file, err := f.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	var text []byte
	if torn(file) {
		text = []byte{'\n'}
	}
	text = append(text, lines(events)...)
	f.lines += len(events)
	if _, err := file.Write(text); err != nil {
		return fmt.Errorf("cannot write the history: %w", err)
	}
	return nil
}

// open opens the file, an ordinary one and no link: a pipe in its place would hold us up.
func (f *historyFile) open() (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o750); err != nil {
		return nil, fmt.Errorf("cannot make the history's directory: %w", err)
	}
	file, err := os.OpenFile(f.path, os.O_RDWR|os.O_APPEND|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, historyMode)
	if err != nil {
		return nil, fmt.Errorf("cannot open the history: %w", err)
	}
	// The unit's umask is for other files.
	info, err := file.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = &fs.PathError{Op: "open", Path: f.path, Err: tree.ErrNotRegular}
	case info.Mode().Perm() != historyMode:
		err = file.Chmod(historyMode)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot open the history: %w", err), file.Close())
	}
	return file, nil
}

// torn reports whether the last line has no end.
func torn(file *os.File) bool {
	info, err := file.Stat()
	if err != nil || info.Size() == 0 {
		return false
	}
	last := []byte{0}
	_, err = file.ReadAt(last, info.Size()-1)
	return err == nil && last[0] != '\n'
}

// rewrite replaces the file by these events, whole or not at all.
func (f *historyFile) rewrite(events []reconcile.Event) error {
	if err := tree.At("").Replace(f.path, lines(events), historyMode); err != nil {
		return fmt.Errorf("cannot write the history: %w", err)
	}
	f.lines = len(events)
	return nil
}

func lines(events []reconcile.Event) []byte {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	for _, e := range events {
		_ = encoder.Encode(e) // a buffer takes everything, and an Event is JSON
	}
	return out.Bytes()
}

// storeHistory reads what the last daemon left, then writes each event as it comes, until ctx
// ends. It is a task of its own: a disk that is full or does not answer must not keep a setting
// from being repaired.
func (d *Daemon) storeHistory(ctx context.Context) error {
	file := &historyFile{path: d.opts.History}
	d.recallHistory(file)
	delay, stored := firstStoring, 0
	for ctx.Err() == nil {
		events, next, more := d.recorder.history.from(stored)
		if len(events) == 0 {
			select {
			case <-ctx.Done():
			case <-more:
			}
			continue
		}
		err := file.store(events, d.recorder.history)
		if err == nil {
			delay, stored = firstStoring, next
			continue
		}
		if delay == firstStoring { // said once, until it goes again
			d.opts.Log.Warn("the history is not on disk, it would not survive a restart", zap.Error(err))
		}
		select {
		case <-ctx.Done():
		case <-time.After(delay):
		}
		delay = min(2*delay, maxStoring)
	}
	if events, _, _ := d.recorder.history.from(stored); len(events) > 0 && delay == firstStoring {
		_ = file.append(events) // the last words; a disk that takes none was said
	}
	return ctx.Err()
}

// store writes events, or all that is remembered where the file has become long.
func (f *historyFile) store(events []reconcile.Event, all *history) error {
	if f.lines+len(events) <= maxHistoryLines {
		return f.append(events)
	}
	return f.rewrite(all.remembered())
}

// recallHistory puts what the last daemon left before what this one has seen so far.
func (d *Daemon) recallHistory(file *historyFile) {
	text, err := tree.At("").Tail(file.path, maxHistoryFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return
	case err != nil:
		d.opts.Log.Warn("what happened before the start cannot be told", zap.Error(fmt.Errorf("cannot read the history: %w", err)))
		return
	}
	events, lines, foreign := parseHistory(text)
	d.recorder.history.recall(events)
	if file.lines = lines; len(text) > maxHistoryFile/2 { // or longer: none of ours is
		file.lines = maxHistoryLines
	}
	if foreign > 0 {
		d.opts.Log.Warn("some lines of the history are no events, they are passed over", zap.Int(systemd.KeyCount, foreign))
	}
}

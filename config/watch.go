package config

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// debounce is how long a burst must be over: an editor's save and a ConfigMap's
	// swap are several events each.
	debounce = 100 * time.Millisecond
	// patience is the longest wait for a burst to end: something that never stops writing must
	// not keep a change from being seen.
	patience = time.Second
	// maxReplans bounds how often a tree that changes meanwhile is walked anew;
	// the events of the last walk are there all the same.
	maxReplans = 5
)

// Watcher notices that the files of a Source may have changed. It watches from
// NewWatcher on, so make it before the first Load. It runs once.
//
// It watches the files' directories, those that symbolic links on the way are in,
// and the nearest one above what does not exist yet, so it sees files and directories that are created
// later, editors' renames and the swap of a ConfigMap's ..data; what else is
// going on in those directories it does not report. Every burst of changes is
// followed by a new set of watches, made before it is reported: what was in force
// before may point to directories that are gone.
type Watcher struct {
	source Source

	mu     sync.Mutex
	notify *fsnotify.Watcher
	plan   *plan
	closed bool
}

// NewWatcher begins to watch.
func NewWatcher(src Source) (*Watcher, error) {
	w := &Watcher{source: src}
	if err := w.arm(); err != nil {
		return nil, err
	}
	return w, nil
}

// Run calls changed, in the caller's goroutine, when it is time to Load again:
// 100 ms after the last of a burst of changes, or a second after its first. It
// says nothing of what changed, or whether anything did. A lost event counts as a
// change. Run ends with ctx (nil), after Close (nil), or with the watch's error,
// and the watch ends with it.
func (w *Watcher) Run(ctx context.Context, changed func()) error {
	defer w.Close()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	timer.Stop()        // until a burst begins
	var first time.Time // of the burst
	for {
		notify, plan := w.armed()
		select {
		case <-ctx.Done():
			return nil
		case event, open := <-notify.Events:
			if !open {
				return nil
			}
			if !plan.concerns(event) {
				continue
			}
		case err, open := <-notify.Errors:
			if !open {
				return nil
			}
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				return fmt.Errorf("cannot watch the configuration: %w", err)
			}
		case <-timer.C:
			first = time.Time{}
			if err := w.arm(); err != nil {
				return err
			}
			changed()
			continue
		}
		if first.IsZero() {
			first = time.Now()
		}
		timer.Reset(max(0, min(debounce, time.Until(first.Add(patience)))))
	}
}

// Close ends the watch. It may be called more than once.
func (w *Watcher) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	return w.notify.Close()
}

func (w *Watcher) armed() (*fsnotify.Watcher, *plan) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.notify, w.plan
}

// arm watches what there is now, in place of what was watched before.
func (w *Watcher) arm() error {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("cannot watch the configuration: %w", err)
	}
	plan, err := watchAll(notify, w.source)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil || w.closed {
		return errors.Join(err, notify.Close())
	}
	old := w.notify
	w.notify, w.plan = notify, plan
	if old != nil {
		return old.Close()
	}
	return nil
}

// watchAll watches everything that src plans for. A directory created between
// the walk and the watch of its parent would be missed: the walk is repeated
// until it finds nothing new.
func watchAll(notify *fsnotify.Watcher, src Source) (*plan, error) {
	watched := map[string]bool{}
	for range maxReplans {
		plan := src.plan()
		news := false
		for _, path := range plan.paths {
			if watched[path] {
				continue
			}
			switch err := notify.Add(path); {
			case err == nil:
				watched[path], news = true, true
			case !unwatchable(err):
				return nil, fmt.Errorf("cannot watch %s: %w", path, err)
			}
		}
		if !news {
			return plan, nil
		}
	}
	return src.plan(), nil
}

// unwatchable reports whether a path cannot be watched and another will tell:
// not there (its parent is watched), or not to be read by this user (nor could a
// file in it be found by a listing).
func unwatchable(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP)
}

package config

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

const (
	// debounce is the quiet time that ends a burst of events: an editor's save and a
	// ConfigMap's swap are several events each.
	debounce = 100 * time.Millisecond
	// maxBurst is the longest wait for a burst to end, so that a file that is written all the
	// time does not delay a reload forever.
	maxBurst = time.Second
	// maxWalks is how often a tree that changes meanwhile is walked again. Changes after the
	// last walk still arrive as events.
	maxWalks = 5
)

// Watcher reports that the files of a Source may have changed. It watches from NewWatcher on:
// create it before the first Load. Run may be called once.
//
// It watches the directories of the files, the directories of symbolic links on the way to
// them, and the nearest existing parent of what does not exist. So it sees files and directories
// that are created later, renames by editors, and the swap of a ConfigMap's ..data. It does not
// report other changes in those directories. After each burst it sets new watches before it
// reports the change, because the directories that were watched may be gone.
type Watcher struct {
	source Source

	mu     sync.Mutex
	notify *fsnotify.Watcher
	plan   *watchPlan
	closed bool
}

// NewWatcher returns a Watcher that watches already.
func NewWatcher(src Source) (*Watcher, error) {
	w := &Watcher{source: src}
	if err := w.setWatches(); err != nil {
		return nil, err
	}
	return w, nil
}

// Run calls changed, in the caller's goroutine, when it is time to Load again: 100 ms after the
// last event of a burst, or a second after its first. A lost event counts as a change. Run
// returns nil when ctx ends or after Close, and otherwise the error of the watch. It closes the
// Watcher.
func (w *Watcher) Run(ctx context.Context, changed func()) error {
	defer w.Close()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	timer.Stop()             // until a burst begins
	var burstBegin time.Time // zero between bursts
	for {
		notify, plan := w.current()
		select {
		case <-ctx.Done():
			return nil
		case event, open := <-notify.Events:
			if !open {
				return nil
			}
			if !plan.isRelevant(event) {
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
			burstBegin = time.Time{}
			if err := w.setWatches(); err != nil {
				return err
			}
			changed()
			continue
		}
		if burstBegin.IsZero() {
			burstBegin = time.Now()
		}
		timer.Reset(max(0, min(debounce, time.Until(burstBegin.Add(maxBurst)))))
	}
}

// Close ends the watch. It may be called more than once.
func (w *Watcher) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	return w.notify.Close()
}

func (w *Watcher) current() (*fsnotify.Watcher, *watchPlan) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.notify, w.plan
}

// setWatches replaces the watches by those that the present files need.
func (w *Watcher) setWatches() error {
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

// watchAll adds watches for all paths of src's plan. A directory that is created between the
// walk and the watch of its parent would be missed, so the walk is repeated until it finds
// nothing new.
func watchAll(notify *fsnotify.Watcher, src Source) (*watchPlan, error) {
	watched := map[string]bool{}
	for range maxWalks {
		plan := src.watchPlan()
		added := false
		for _, path := range plan.paths {
			if watched[path] {
				continue
			}
			switch err := notify.Add(path); {
			case err == nil:
				watched[path], added = true, true
			case !isUnwatchable(err):
				return nil, fmt.Errorf("cannot watch %s: %w", path, err)
			}
		}
		if !added {
			return plan, nil
		}
	}
	return src.watchPlan(), nil
}

// isUnwatchable reports whether a path may be left without a watch: it does not exist (its
// parent is watched), or this user may not read it (and so cannot list its files either).
func isUnwatchable(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) ||
		errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP)
}

// watchPlan is what to watch for a Source in the present state of its tree. All paths are real
// paths, with the root, and without symbolic links below it.
type watchPlan struct {
	// paths are the directories and files to watch, a directory before those below it.
	paths []string
	// watched is the set of paths.
	watched map[string]bool
	// entries are the directory entries whose changes count: directory and name, joined.
	entries map[string]bool
	// dropinDirs are the directories in which every drop-in counts.
	dropinDirs map[string]bool
}

// watchPlan walks to every file that may be part of s.
func (s Source) watchPlan() *watchPlan {
	p := &watchPlan{watched: map[string]bool{}, entries: map[string]bool{}, dropinDirs: map[string]bool{}}
	t := tree.At(s.Root)
	p.walk(t, s.mainFile())
	if !s.hasDropins() {
		return p
	}
	for _, dir := range dropinDirs() {
		real := t.Real(p.walk(t, dir))
		p.dropinDirs[real] = true
		p.add(real)
		names, _ := listDir(t, dir) // Load reports the error
		for _, name := range names {
			if isDropin(name) {
				p.walk(t, filepath.Join(dir, name))
			}
		}
	}
	return p
}

// walk adds the entries on the way to path whose change may lead elsewhere, and the file at its
// end: a bind-mounted file changes without an event in its directory. Directories that are only
// passed through, such as / and /etc, are not watched, because they change often for other
// reasons; a watched directory reports its own removal. walk returns the end within the tree.
func (p *watchPlan) walk(t tree.Tree, path string) string {
	end, steps, _ := t.Resolve(path) // a loop of links may be cut anywhere on it
	for i, step := range steps {
		if step.Dir == filepath.Dir(devNull) {
			continue // writes to /dev/null do not count
		}
		info, err := os.Lstat(filepath.Join(t.Real(step.Dir), step.Name))
		if err == nil && info.IsDir() && i < len(steps)-1 {
			continue
		}
		dir := t.Real(step.Dir)
		p.add(dir)
		p.entries[filepath.Join(dir, step.Name)] = true
	}
	if info, err := os.Lstat(t.Real(end)); err == nil && info.Mode().IsRegular() && end != devNull {
		p.add(t.Real(end))
	}
	return end
}

func (p *watchPlan) add(path string) {
	if !p.watched[path] {
		p.watched[path] = true
		p.paths = append(p.paths, path)
	}
}

// isRelevant reports whether the configuration may be another after the event.
func (p *watchPlan) isRelevant(event fsnotify.Event) bool {
	if p.entries[event.Name] {
		return true
	}
	dir, name := filepath.Split(event.Name)
	if p.dropinDirs[filepath.Clean(dir)] && isDropin(name) {
		return true
	}
	// A watched path itself was removed or moved: what replaced it is not watched.
	return p.watched[event.Name] && event.Has(fsnotify.Remove|fsnotify.Rename)
}

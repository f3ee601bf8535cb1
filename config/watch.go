package config

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/host/inotify"
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

// The events that are watched for. A directory reports its entries' names and modes, not their writes:
// a log that grows beside the configuration wakes nobody. The files that matter report their writes
// themselves.
const (
	dirMask = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_ATTRIB |
		goneMask | unix.IN_ONLYDIR
	fileMask = unix.IN_MODIFY | unix.IN_ATTRIB | goneMask
	// goneMask is for the watched file or directory itself: what replaced it is not watched.
	goneMask = unix.IN_DELETE_SELF | unix.IN_MOVE_SELF
)

// Watcher reports that the files of a Source may have changed. It watches from NewWatcher on:
// create it before the first Load. Run may be called once.
//
// It watches the files, their directories, the directories of symbolic links on the way to
// them, and the nearest existing parent of what does not exist. So it sees files and directories
// that are created later, renames by editors, and the swap of a ConfigMap's ..data. It does not
// report other changes in those directories. After each burst it sets new watches before it
// reports the change, because the directories that were watched may be gone.
type Watcher struct {
	source Source

	mu     sync.Mutex
	set    *watchSet
	closed bool
}

// watchSet is an inotify queue with the watches of a plan.
type watchSet struct {
	queue *inotify.Queue
	plan  *watchPlan
	paths map[int32][]string // by watch; bind mounts give a file several
}

// NewWatcher returns a Watcher that watches already.
func NewWatcher(src Source) (*Watcher, error) {
	w := &Watcher{source: src}
	if err := w.setWatches(); err != nil {
		return nil, fmt.Errorf("cannot watch the configuration: %w", err)
	}
	return w, nil
}

// Run calls changed, in the caller's goroutine, when it is time to Load again: 100 ms after the
// last event of a burst, or a second after its first. A file that is empty after the last event is most likely
// being written (open(2) with O_TRUNC comes before the first write(2)): then it is a second after the first
// event, unless the content comes. A lost event counts as a change. Run
// returns nil when ctx ends or after Close, and otherwise the error of the watch. It closes the
// Watcher.
func (w *Watcher) Run(ctx context.Context, changed func()) error {
	defer w.Close()
	defer context.AfterFunc(ctx, func() { _ = w.Close() })()
	var burstBegin, due time.Time // zero between bursts
	for {
		set, closed := w.current()
		events, err := set.queue.Read(due)
		switch {
		case closed || errors.Is(err, os.ErrClosed):
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			burstBegin, due = time.Time{}, time.Time{}
			if err := w.setWatches(); err != nil {
				return fmt.Errorf("cannot watch the configuration: %w", err)
			}
			changed()
		case err != nil:
			return fmt.Errorf("cannot watch the configuration: %w", err)
		case slices.ContainsFunc(events, set.isRelevant):
			now := time.Now()
			if burstBegin.IsZero() {
				burstBegin = now
			}
			due = burstBegin.Add(maxBurst)
			if quiet := now.Add(debounce); quiet.Before(due) && !set.isEmpty(events[len(events)-1]) {
				due = quiet
			}
		}
	}
}

// ChangedSince reports whether what is watched may have changed at t or later, by the inodes' change times
// (inode(7)). A directory's is that of its entries.
func (w *Watcher) ChangedSince(t time.Time) bool {
	set, _ := w.current()
	for _, path := range set.plan.paths {
		var stat unix.Stat_t
		switch err := unix.Lstat(path, &stat); {
		case errors.Is(err, fs.ErrNotExist): // its directory is watched
		case err != nil || !time.Unix(stat.Ctim.Unix()).Before(t):
			return true
		}
	}
	return false
}

// Close ends the watch. It may be called more than once.
func (w *Watcher) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil
	}
	w.closed = true
	return w.set.queue.Close()
}

func (w *Watcher) current() (set *watchSet, closed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.set, w.closed
}

// setWatches replaces the watches by those that the present files need.
func (w *Watcher) setWatches() error {
	queue, err := inotify.New()
	if err != nil {
		return err
	}
	set, err := watchAll(queue, w.source)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil || w.closed {
		return errors.Join(err, queue.Close())
	}
	old := w.set
	w.set = set
	if old != nil {
		return old.queue.Close()
	}
	return nil
}

// watchAll adds watches for all paths of src's plan. A directory that is created between the
// walk and the watch of its parent would be missed, so the walk is repeated until it finds
// nothing new.
func watchAll(queue *inotify.Queue, src Source) (*watchSet, error) {
	set := &watchSet{queue: queue, plan: src.watchPlan(), paths: map[int32][]string{}}
	watched := map[string]bool{}
	for range maxWalks {
		added := false
		for _, path := range set.plan.paths {
			if watched[path] {
				continue
			}
			switch watch, err := queue.Add(path, set.plan.masks[path]); {
			case err == nil:
				watched[path], added = true, true
				set.paths[watch] = append(set.paths[watch], path)
			case !isUnwatchable(err):
				return nil, fmt.Errorf("%s: %w", path, err)
			}
		}
		if !added {
			break
		}
		set.plan = src.watchPlan()
	}
	return set, nil
}

// isUnwatchable reports whether a path may be left without a watch: it does not exist (its
// parent is watched), or this user may not read it (and so cannot list its files either).
func isUnwatchable(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) ||
		errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP)
}

// isRelevant reports whether the configuration may be another after the event.
func (s *watchSet) isRelevant(event inotify.Event) bool {
	if event.Mask&(unix.IN_Q_OVERFLOW|unix.IN_UNMOUNT|goneMask) != 0 {
		return true
	}
	for _, path := range s.paths[event.Watch] {
		if s.plan.entries[filepath.Join(path, event.Name)] || s.plan.dropinDirs[path] && isDropin(event.Name) {
			return true
		}
	}
	return false
}

// isEmpty reports whether the event is about a file without content.
func (s *watchSet) isEmpty(event inotify.Event) bool {
	return slices.ContainsFunc(s.paths[event.Watch], func(path string) bool {
		info, err := os.Lstat(filepath.Join(path, event.Name))
		return err == nil && info.Mode().IsRegular() && info.Size() == 0
	})
}

// watchPlan is what to watch for a Source in the present state of its tree. All paths are real
// paths, with the root, and without symbolic links below it.
type watchPlan struct {
	// paths are the directories and files to watch, a directory before those below it.
	paths []string
	// masks has the events to watch each path for.
	masks map[string]uint32
	// entries are the directory entries whose changes count: directory and name, joined.
	entries map[string]bool
	// dropinDirs are the directories in which every drop-in counts.
	dropinDirs map[string]bool
}

// watchPlan walks to every file that may be part of s.
func (s Source) watchPlan() *watchPlan {
	p := &watchPlan{masks: map[string]uint32{}, entries: map[string]bool{}, dropinDirs: map[string]bool{}}
	t := s.Tree()
	p.walk(t, s.mainFile())
	if !s.hasDropins() {
		return p
	}
	for _, dir := range dropinDirs() {
		real := t.Real(p.walk(t, dir))
		p.dropinDirs[real] = true
		p.add(real, dirMask)
		names, _ := listDir(t, dir, nil) // Load reports the error
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
		p.add(dir, dirMask)
		p.entries[filepath.Join(dir, step.Name)] = true
	}
	if info, err := os.Lstat(t.Real(end)); err == nil && info.Mode().IsRegular() && end != devNull {
		p.add(t.Real(end), fileMask)
	}
	return end
}

func (p *watchPlan) add(path string, mask uint32) {
	if p.masks[path] == 0 {
		p.masks[path] = mask
		p.paths = append(p.paths, path)
	}
}

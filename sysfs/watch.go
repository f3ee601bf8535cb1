package sysfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/fsnotify/fsnotify"
)

// aliasFile is the second name of nf_conntrack_max, in the initial network
// namespace only.
const aliasFile = "proc/sys/net/nf_conntrack_max"

// Watcher hears of writes to the setting files, through inotify(7) on their
// directories. It hears what goes through this mount of /proc and /sys; writes
// through another procfs instance (a container's) are silent, and so are loads
// and unloads of the module.
type Watcher struct {
	root string

	mu      sync.Mutex // guards arming against itself; fsnotify guards the rest
	inotify *fsnotify.Watcher
}

// NewWatcher begins to watch the setting files below root. Directories that are
// not there yet are no error: Arm looks again.
func NewWatcher(root string) (*Watcher, error) {
	inotify, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("cannot watch settings: %w", err)
	}
	w := &Watcher{root: rooted(root), inotify: inotify}
	if err := w.Arm(); err != nil {
		return nil, errors.Join(err, inotify.Close())
	}
	return w, nil
}

// Arm sets every watch anew. It must be called whenever the module came or
// went: a watch below /sys/module/nf_conntrack dies with the module and says
// nothing.
func (w *Watcher) Arm() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var errs []error
	for _, dir := range []string{sysctlDir, filepath.Dir(aliasFile), paramsDir} {
		path := filepath.Join(w.root, dir)
		// The watch may have died with its directory: whatever Remove says,
		// the path is forgotten and can be added.
		_ = w.inotify.Remove(path)
		if err := w.inotify.Add(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, fmt.Errorf("cannot watch settings: %w", err))
		}
	}
	return errors.Join(errs...)
}

// Run calls wrote for every write to a setting until ctx ends or the watch
// fails; overflow is true where the kernel's queue overran and writes were lost.
func (w *Watcher) Run(ctx context.Context, wrote func(overflow bool)) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case event, ok := <-w.inotify.Events:
			if !ok {
				return fmt.Errorf("cannot watch settings: %w", fsnotify.ErrClosed)
			}
			if event.Has(fsnotify.Write) && w.concerns(event.Name) {
				wrote(false)
			}
		case err, ok := <-w.inotify.Errors:
			if !ok {
				return fmt.Errorf("cannot watch settings: %w", fsnotify.ErrClosed)
			}
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				return fmt.Errorf("cannot watch settings: %w", err)
			}
			wrote(true)
		}
	}
}

// Close ends the watch.
func (w *Watcher) Close() error { return w.inotify.Close() }

// concerns reports whether a write to path may have changed a setting.
func (w *Watcher) concerns(path string) bool {
	rel, err := filepath.Rel(w.root, path)
	if err != nil {
		return false
	}
	return rel == aliasFile || strings.HasPrefix(rel, sysctlDir+"/") || strings.HasPrefix(rel, paramsDir+"/")
}

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

// aliasFile is the second file of max. It exists in the initial network namespace only.
const aliasFile = "proc/sys/net/nf_conntrack_max"

// Watcher reports writes to the setting files, through inotify(7) on their directories. It sees
// writes through this mount of /proc and /sys. It does not see writes through another procfs
// instance, such as a container's, nor loads and unloads of the module.
type Watcher struct {
	root string

	mu      sync.Mutex // one Arm at a time; fsnotify locks the rest
	inotify *fsnotify.Watcher
}

// NewWatcher starts to watch the setting files below root. A missing directory is not an error:
// Arm tries again.
func NewWatcher(root string) (*Watcher, error) {
	inotify, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("cannot watch settings: %w", err)
	}
	w := &Watcher{root: cleanRoot(root), inotify: inotify}
	if err := w.Arm(); err != nil {
		return nil, errors.Join(err, inotify.Close())
	}
	return w, nil
}

// Arm sets every watch again. It must be called after each load and unload of the module: a
// watch below /sys/module/nf_conntrack dies with the module without an event.
func (w *Watcher) Arm() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var errs []error
	for _, dir := range []string{sysctlDir, filepath.Dir(aliasFile), paramsDir} {
		path := filepath.Join(w.root, dir)
		// The watch may have died with its directory: even if Remove fails, fsnotify forgets
		// the path, and it can be added.
		_ = w.inotify.Remove(path)
		if err := w.inotify.Add(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, fmt.Errorf("cannot watch settings: %w", err))
		}
	}
	return errors.Join(errs...)
}

// Run calls wrote for every write to a setting, until ctx ends or the watch fails. overflow is
// true where the kernel's queue overflowed (IN_Q_OVERFLOW) and events were lost.
func (w *Watcher) Run(ctx context.Context, wrote func(overflow bool)) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case event, ok := <-w.inotify.Events:
			if !ok {
				return fmt.Errorf("cannot watch settings: %w", fsnotify.ErrClosed)
			}
			if event.Has(fsnotify.Write) && w.isSetting(event.Name) {
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

// isSetting reports whether a write to path may have changed a setting.
func (w *Watcher) isSetting(path string) bool {
	rel, err := filepath.Rel(w.root, path)
	if err != nil {
		return false
	}
	return rel == aliasFile || strings.HasPrefix(rel, sysctlDir+"/") || strings.HasPrefix(rel, paramsDir+"/")
}

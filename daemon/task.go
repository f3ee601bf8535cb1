package daemon

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/ctkeeper/ctkeeper/systemd"
)

const (
	firstRestart = 100 * time.Millisecond
	maxRestart   = 30 * time.Second
	// stableRun is how long a task has to run for its next failure to count as the first.
	stableRun = time.Minute
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

// restart returns a task that runs a watcher again, with backoff, whenever it fails. The
// keeper's resync finds changes that the watcher misses meanwhile.
func restart(log *zap.Logger, name string, run func(context.Context) error) task {
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
			log.Warn("watcher failed, restarting it",
				zap.String(systemd.KeySource, name), zap.Duration("after", delay), zap.Error(err))
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

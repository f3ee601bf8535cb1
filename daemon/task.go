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
	// A task that ran this long had started well: its next failure is a first.
	goodRun = time.Minute
)

// restarting runs a watcher until ctx ends, again and again with backoff when it
// fails: what it would have said is found by the keeper's timer meanwhile.
func restarting(ctx context.Context, log *zap.Logger, source string, run func(context.Context) error) error {
	delay := firstRestart
	for {
		began := time.Now()
		err := run(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(began) > goodRun {
			delay = firstRestart
		}
		log.Warn("watcher failed, starting it again",
			zap.String(systemd.KeySource, source), zap.Duration("after", delay), zap.Error(err))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(delay):
		}
		delay = min(2*delay, maxRestart)
	}
}

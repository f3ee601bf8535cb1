package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/ctkeeper/ctkeeper/metrics"
)

// textfileInterval is how old the textfile may become.
const textfileInterval = 15 * time.Second

// writeTextfile writes the textfile until ctx ends. The file stays then: its age shows that, as the users of the
// collector know.
func writeTextfile(ctx context.Context, m *metrics.Metrics, dir string, log *slog.Logger) error {
	written := &changes{log: log, message: "cannot write the textfile, retrying", mended: "the textfile is written"}
	ticker := time.NewTicker(textfileInterval)
	defer ticker.Stop()
	for {
		written.report(m.WriteTextfile(ctx, dir))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// changes logs an error that may come back at each attempt: once, and when it is mended.
type changes struct {
	log             *slog.Logger
	message, mended string

	mu   sync.Mutex
	last string
}

// report is called with the result of each attempt.
func (c *changes) report(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := ""
	if err != nil {
		text = err.Error()
	}
	switch {
	case text == c.last:
	case err != nil:
		c.log.Warn(c.message, "err", err)
	default:
		c.log.Info(c.mended)
	}
	c.last = text
}

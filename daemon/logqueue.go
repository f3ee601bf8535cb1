package daemon

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/ctkeeper/ctkeeper/host/logging"
	"github.com/ctkeeper/ctkeeper/systemd"
)

const (
	// backlog is how many entries may wait for a log that blocks.
	backlog = 256
	// drainTimeout bounds writing the waiting entries at the end.
	drainTimeout = 300 * time.Millisecond
)

// logQueue lets a task of its own write the log: a journal that blocks must not keep a setting
// from being repaired.
type logQueue struct {
	entries chan queued
	lost    atomic.Int64
}

type queued struct {
	core   zapcore.Core
	entry  zapcore.Entry
	fields []zapcore.Field
}

func newLogQueue() *logQueue { return &logQueue{entries: make(chan queued, backlog)} }

// wrap returns a logger whose entries go through the queue. Logging never blocks.
func (q *logQueue) wrap(log *logging.Logger) *logging.Logger {
	return log.Wrap(func(core zapcore.Core) zapcore.Core { return queueCore{core, q} })
}

// run writes entries until ctx ends, and then the waiting ones.
func (q *logQueue) run(ctx context.Context) error {
	for {
		select {
		case e := <-q.entries:
			q.write(e)
		case <-ctx.Done():
			q.drain()
			return ctx.Err()
		}
	}
}

// drain writes the waiting entries, for at most drainTimeout.
func (q *logQueue) drain() {
	for deadline := time.Now().Add(drainTimeout); time.Now().Before(deadline); {
		select {
		case e := <-q.entries:
			q.write(e)
		default:
			return
		}
	}
}

func (q *logQueue) write(e queued) {
	if n := q.lost.Load(); n > 0 {
		lost := zapcore.Entry{
			Level: zapcore.WarnLevel, Time: time.Now(), Message: "log queue overflowed, entries were lost",
		}
		if e.core.Write(lost, []zapcore.Field{logging.Int64(systemd.KeyCount, n)}) == nil {
			q.lost.Add(-n)
		}
	}
	if e.core.Write(e.entry, e.fields) != nil {
		q.lost.Add(1)
	}
}

// queueCore is a zapcore.Core that sends its entries to the queue.
type queueCore struct {
	zapcore.Core
	queue *logQueue
}

// With implements zapcore.Core.
func (c queueCore) With(fields []zapcore.Field) zapcore.Core {
	return queueCore{c.Core.With(fields), c.queue}
}

// Check implements zapcore.Core.
func (c queueCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

// Write implements zapcore.Core.
func (c queueCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	select {
	case c.queue.entries <- queued{c.Core, entry, slices.Clone(fields)}:
	default:
		c.queue.lost.Add(1)
	}
	return nil
}

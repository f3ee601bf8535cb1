package daemon

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/ctkeeper/ctkeeper/systemd"
)

const (
	// backlog is how many entries may wait for a log that does not answer.
	backlog = 256
	// lastWords is what the log gets at the end to take what waits.
	lastWords = 300 * time.Millisecond
)

// logQueue has a task of its own write the log: a journal that does not answer
// must not keep a setting from being repaired.
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

// wrap gives a logger whose entries go through the queue. Logging never blocks.
func (q *logQueue) wrap(log *zap.Logger) *zap.Logger {
	return log.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core { return queueCore{core, q} }))
}

// run writes until ctx ends, and then what is left.
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

// drain writes what waits, as far as there is time.
func (q *logQueue) drain() {
	for deadline := time.Now().Add(lastWords); time.Now().Before(deadline); {
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
		lost := zapcore.Entry{Level: zapcore.WarnLevel, Time: time.Now(), Message: "the log did not keep up, some entries are missing"}
		if e.core.Write(lost, []zapcore.Field{zap.Int64(systemd.KeyCount, n)}) == nil {
			q.lost.Add(-n)
		}
	}
	if e.core.Write(e.entry, e.fields) != nil {
		q.lost.Add(1)
	}
}

// queueCore is a zapcore.Core that hands its entries to the queue.
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

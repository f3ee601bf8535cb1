package daemon

import (
	"context"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/systemd"
)

// backlog is how many events may wait for a log that does not answer.
const backlog = 256

// logged is a reconcile.Recorder that writes each event to a log.
type logged struct{ log *zap.Logger }

// Record logs an event, unless it is a quiet one.
func (l logged) Record(e reconcile.Event) {
	if !e.Quiet {
		l.log.Log(level(e), e.Message, fields(e)...)
	}
}

// recorder remembers events and has a task of its own log them: a journal that
// does not answer must not keep a setting from being repaired. It implements
// reconcile.Recorder.
type recorder struct {
	history *history
	to      logged
	queue   chan reconcile.Event
	lost    atomic.Int64
}

func newRecorder(log *zap.Logger) *recorder {
	return &recorder{history: newHistory(), to: logged{log}, queue: make(chan reconcile.Event, backlog)}
}

// Record remembers an event and hands it to the task. It never blocks.
func (r *recorder) Record(e reconcile.Event) {
	if e.Quiet {
		return
	}
	r.history.add(e)
	select {
	case r.queue <- e:
	default:
		r.lost.Add(1)
	}
}

// run logs until ctx ends, and then what is left.
func (r *recorder) run(ctx context.Context) error {
	for {
		select {
		case e := <-r.queue:
			r.write(e)
		case <-ctx.Done():
			r.drain()
			return ctx.Err()
		}
	}
}

// drain logs what waits.
func (r *recorder) drain() {
	for {
		select {
		case e := <-r.queue:
			r.write(e)
		default:
			return
		}
	}
}

func (r *recorder) write(e reconcile.Event) {
	if n := r.lost.Swap(0); n > 0 {
		r.to.log.Warn("the log did not keep up, some events are only in the history", zap.Int64(systemd.KeyCount, n))
	}
	r.to.Record(e)
}

// level is a warning for what a person has to look into, an error for what
// ctkeeper cannot mend.
func level(e reconcile.Event) zapcore.Level {
	switch {
	case e.Result == reconcile.NotRepaired:
		return zapcore.ErrorLevel
	case e.Kind == reconcile.KindContested, e.Note != "":
		return zapcore.WarnLevel
	case e.Kind == reconcile.KindDrift && e.Cause != reconcile.CauseStart && e.Cause != reconcile.CauseConfig:
		return zapcore.WarnLevel
	default:
		return zapcore.InfoLevel
	}
}

func fields(e reconcile.Event) []zap.Field {
	out := []zap.Field{zap.String(systemd.KeyEvent, string(e.Kind))}
	for key, value := range map[string]string{
		systemd.KeySetting: e.Setting, systemd.KeyWant: e.Want, systemd.KeyFound: e.Found,
		systemd.KeyResult: string(e.Result), systemd.KeyCause: string(e.Cause), systemd.KeyError: e.Error,
	} {
		if value != "" {
			out = append(out, zap.String(key, value))
		}
	}
	if e.Duration != 0 {
		out = append(out, zap.Duration(systemd.KeyDuration, time.Duration(e.Duration)))
	}
	return out
}

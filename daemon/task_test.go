package daemon

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/ctkeeper/ctkeeper/host/logging"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/systemd"
)

// A task that ignores its context is named in the log, and does not keep the daemon from ending.
func TestStopWithStuckTask(t *testing.T) {
	free, ended := make(chan struct{}), make(chan struct{})
	d := start(t, kerneltree.New(t), "settings: {max: 100000}\n", func(o *Options) {
		o.Started = func(status.Document) {
			defer close(ended)
			<-free
		}
	})
	began := time.Now()
	if err := d.stop(); err != nil {
		t.Errorf("Run = %v after a stop, want nil", err)
	}
	if took := time.Since(began); took > stopTimeout+time.Second {
		t.Errorf("the stop took %v", took)
	}
	said := d.logs.FilterMessage("stopping, although some tasks have not ended").All()
	if len(said) != 1 || len(said[0].ContextMap()[systemd.KeySource].([]any)) != 1 {
		t.Errorf("log %v, want one entry with one task", said)
	}
	close(free)
	<-ended
}

// A log that blocks does not keep the daemon from ending either.
func TestStopWithStuckLog(t *testing.T) {
	log := stuck{zapcore.NewNopCore(), make(chan struct{})}
	d := start(t, kerneltree.New(t), "settings: {max: 100000}\n", func(o *Options) { o.Log = logging.New(log) })
	defer close(log.free)
	began := time.Now()
	if err := d.stop(); err != nil || time.Since(began) > stopTimeout+drainTimeout+time.Second {
		t.Errorf("Run = %v, %v after the stop", err, time.Since(began))
	}
}

func TestRunBounded(t *testing.T) {
	if err, ended := runBounded(t.Context(), 0, func() error { return errEnough }); err != errEnough || !ended {
		t.Errorf("%v, ended %v, want the function's error", err, ended)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errEnough)
	free := make(chan struct{})
	defer close(free)
	err, ended := runBounded(ctx, time.Millisecond, func() error { <-free; return nil })
	if !errors.Is(err, errEnough) || ended {
		t.Errorf("%v, ended %v, want the context's cause", err, ended)
	}
	if err, ended := runBounded(ctx, time.Minute, func() error { return nil }); err != nil || !ended {
		t.Errorf("%v, ended %v, want the end within the limit", err, ended)
	}
}

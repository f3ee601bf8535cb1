package daemon

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/ctkeeper/ctkeeper/host/logging"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/systemd"
)

// stuck is a log that does not answer until it is freed.
type stuck struct {
	zapcore.Core
	free chan struct{}
}

func (s stuck) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	return checked.AddCore(e, s)
}

func (s stuck) Write(e zapcore.Entry, fields []zapcore.Field) error {
	<-s.free
	return s.Core.Write(e, fields)
}

// A journal that does not answer keeps no setting from being repaired, whatever
// there is to say.
func TestStuckLogKeepsNothingUp(t *testing.T) {
	root := kerneltree.New(t)
	kerneltree.Remove(t, root, "helper")
	core, logs := observer.New(zapcore.DebugLevel)
	log := stuck{core, make(chan struct{})}
	d := start(t, root, "settings: {max: 100000, helper: true}\n", func(o *Options) { o.Log = logging.New(log) })
	for range 3 {
		kerneltree.Set(t, root, "max", "5")
		d.wait("repair", func() bool { return kerneltree.Get(t, root, "max") == "100000" })
	}
	close(log.free)
	d.wait("the log", func() bool { return len(logs.FilterMessageSnippet("max was 5,").All()) == 3 })
}

func TestLogQueue(t *testing.T) {
	core, logs := observer.New(zapcore.DebugLevel)
	q := newLogQueue()
	log := q.wrap(logging.New(core)).With(logging.String("a", "b"))
	for range backlog + 3 {
		log.Info("entry")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := q.run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("run = %v, want %v", err, context.Canceled)
	}
	entries := logs.All()
	if len(entries) != backlog+1 {
		t.Fatalf("%d entries, want %d and one that says that some are missing", len(entries), backlog)
	}
	if got := entries[0].ContextMap()[systemd.KeyCount]; got != int64(3) {
		t.Errorf("%v are said to be missing, want 3", got)
	}
	if got := entries[1].ContextMap()["a"]; got != "b" {
		t.Errorf("the logger's own field is %v, want b", got)
	}
}

func TestDrainEnds(t *testing.T) {
	q := newLogQueue()
	log := q.wrap(logging.New(slow{zapcore.NewNopCore()}))
	for range backlog {
		log.Info("entry")
	}
	begun := time.Now()
	q.drain()
	if took := time.Since(begun); took > drainTimeout+5*time.Second {
		t.Errorf("drain took %s", took)
	}
	if len(q.entries) == 0 {
		t.Error("the whole backlog was written, so nothing was tested")
	}
}

// slow is a log with little room.
type slow struct{ zapcore.Core }

func (s slow) Enabled(zapcore.Level) bool { return true }

func (s slow) Write(zapcore.Entry, []zapcore.Field) error {
	time.Sleep(drainTimeout / 10)
	return nil
}

// Every kind of event has its MESSAGE_ID and its entry in the catalog.
func TestKindsAreKnownToTheJournal(t *testing.T) {
	for _, kind := range []reconcile.Kind{
		reconcile.KindDrift, reconcile.KindContested, reconcile.KindSettled, reconcile.KindModuleLoad,
		reconcile.KindModuleUnload, reconcile.KindFailed, reconcile.KindForbidden,
	} {
		if systemd.MessageID(string(kind)) == "" {
			t.Errorf("%s has no MESSAGE_ID", kind)
		}
	}
}

package daemon

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/ctkeeper/ctkeeper/host/logging"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/table"
)

func TestTableTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var entries, drops atomic.Int64
		entries.Store(5)
		limit := int64(100)
		looks := make(chan time.Duration, 100)
		said := make(chan reconcile.Event, 100)
		task := newTableTask(tree.Tree{}, func(e reconcile.Event) { said <- e })
		task.take = func(at time.Time) table.Sample {
			looks <- at.Sub(began)
			n := entries.Load()
			return table.Sample{
				At: at, Figures: table.Figures{Entries: &n, Max: &limit},
				Counters: map[string]uint64{"drop": uint64(drops.Load())},
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- task.run(ctx) }()
		pass := func(after time.Duration) (looked bool) {
			time.Sleep(after)
			synctest.Wait()
			n := len(looks)
			task.sampleIfDue()
			synctest.Wait()
			return len(looks) > n
		}
		synctest.Wait()
		if len(looks) != 1 || pass(13*time.Second) || !pass(500*time.Millisecond) {
			t.Error("the table is not looked at once at the start, and then with the first pass of 13.5 s later")
		}
		entries.Store(83)
		if !pass(usualInterval) || pass(4*time.Second) || !pass(500*time.Millisecond) {
			t.Error("a table that is half full is not looked at with the first pass of 4.5 s later")
		}
		if got := task.recent(); *got.Entries != 83 {
			t.Errorf("recent gives %d entries", *got.Entries)
		}
		entries.Store(5)
		drops.Store(9)
		if !pass(busyInterval) || pass(4*time.Second) || !pass(500*time.Millisecond) || pass(busyInterval) {
			t.Error("after a loss the table is not looked at 4.5 s later, or that goes on for ever")
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("run = %v", err)
		}
		close(said)
		if len(said) != 2 {
			t.Fatalf("%d events, want one of the level and one of the loss", len(said))
		}
		if e := <-said; e.Kind != reconcile.KindTablePressure || e.Table != table.Connections || e.Level != "high" ||
			e.Entries != 83 || e.Limit != 100 || e.Message == "" || !e.At.Equal(began.Add(28500*time.Millisecond)) {
			t.Errorf("event %+v, want one of pressure", e)
		}
	})
}

// Readers that poll cause one sample a second, and none of them sees the module absent once it is loaded.
func TestRecent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks, limit := 0, int64(100)
		var figures table.Figures
		task := newTableTask(tree.Tree{}, nil)
		task.take = func(at time.Time) table.Sample {
			looks++
			return table.Sample{At: at, Figures: figures}
		}
		task.recent()
		figures.Max = &limit
		if got := task.recent(); got.Max != &limit {
			t.Error("the module is loaded, and the sample is from before")
		}
		looks = 0
		for range 100 {
			task.recent()
			time.Sleep(50 * time.Millisecond)
		}
		if looks < 4 || looks > 6 {
			t.Errorf("%d looks in 5 s, want 5", looks)
		}
	})
}

func TestPressureIsLogged(t *testing.T) {
	core, logs := observer.New(zapcore.DebugLevel)
	r := recorder{eventLogger{logging.New(core)}, newHistory(), newCounts()}
	for _, pressure := range []reconcile.Pressure{
		{Table: table.Connections, Level: "high", Entries: 83, Limit: 100},
		{Table: table.Connections, Level: "normal", Loss: "evicting", Limit: 100},
		{Table: table.Expectations, Level: "normal", Limit: 100},
	} {
		r.Record(reconcile.TablePressureEvent(time.Now(), pressure, ""))
	}
	var levels []zapcore.Level
	for _, e := range logs.All() {
		levels = append(levels, e.Level)
	}
	if diff := cmp.Diff([]zapcore.Level{zapcore.WarnLevel, zapcore.WarnLevel, zapcore.InfoLevel}, levels); diff != "" {
		t.Errorf("levels (-want +got):\n%s", diff)
	}
	want := map[string]any{"event": "table-pressure", "table": "expectations", "entries": int64(0), "limit": int64(100)}
	if diff := cmp.Diff(want, logs.All()[2].ContextMap()); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	if got := len(allOf(r.history)); got != 3 {
		t.Errorf("%d events remembered, want 3", got)
	}
}

func TestTableStatus(t *testing.T) {
	root := kerneltree.New(t)
	kerneltree.Put(t, root, "proc/sys/net/netfilter/nf_conntrack_count", "60000\n")
	kerneltree.Put(t, root, "proc/net/stat/nf_conntrack", "entries drop\n0000ea60 00000007\n0000ea60 00000001\n")
	s := InspectTable(tree.At(root))
	if s.LoadFactor == nil || *s.LoadFactor != 60000.0/65536 || s.Counters["drop"] != 8 ||
		s.Conditions[table.Connections].Level != table.High || len(s.Rates) != 0 {
		t.Errorf("status %+v, load factor %v", s, s.LoadFactor)
	}
	kerneltree.Unload(t, root)
	s = InspectTable(tree.At(root))
	if s.Entries != nil || s.LoadFactor != nil || s.Counters == nil || len(s.Conditions) != 0 {
		t.Errorf("status without the module: %+v", s)
	}
}

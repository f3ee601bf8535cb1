package daemon

import (
	"context"
	"sync"
	"time"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/table"
)

const (
	// A sample follows the first pass that comes usualInterval after the last one, and busyInterval where a
	// table is at least half full, or something was just lost: the end of a loss is then seen soon.
	usualInterval = 15 * time.Second
	busyInterval  = 5 * time.Second
	// pointHours is how far the plots go back.
	pointHours = 6 * time.Hour
	// maxAge is the highest age of the figures that a reader gets.
	maxAge = time.Second
)

// tableTask samples the tables periodically and records an event when their pressure changes.
type tableTask struct {
	take    func(time.Time) table.Sample
	record  func(reconcile.Event)
	monitor *table.Monitor
	// due receives a value to make run take a sample now.
	due chan struct{}

	reading sync.Mutex // held by a reader that samples, never by the keeper or by run
	mu      sync.Mutex // held for a moment
	latest  table.Sample
	lastRun time.Time // when run took its last sample
	// interval is usualInterval or busyInterval.
	interval time.Duration
}

func newTableTask(host tree.Tree, record func(reconcile.Event)) *tableTask {
	return &tableTask{
		take: table.NewSampler(host).Take, record: record,
		monitor: table.NewMonitor(int(pointHours / busyInterval)),
		due:     make(chan struct{}, 1),
	}
}

// run takes a sample now, and then one when it is due, until ctx ends.
func (t *tableTask) run(ctx context.Context) error {
	for {
		t.sample(time.Now())
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.due:
		}
	}
}

func (t *tableTask) sample(at time.Time) {
	sample := t.take(at)
	t.mu.Lock()
	t.latest, t.lastRun = sample, sample.At
	t.mu.Unlock()
	changes := t.monitor.Add(sample)
	interval := usualInterval
	if isHalfFull(sample.Entries, sample.Max) || isHalfFull(sample.Expectations, sample.ExpectMax) ||
		table.LossesOf(t.monitor.State(sample).Grown) != (table.Losses{}) {
		interval = busyInterval
	}
	t.mu.Lock()
	t.interval = interval
	t.mu.Unlock()
	for _, p := range changes {
		t.record(reconcile.TablePressureEvent(p.At, reconcile.Pressure{
			Table: p.Table, Level: string(p.Now.Level), Loss: string(p.Now.Loss), Entries: p.Entries, Limit: p.Limit,
		}, status.PressureMessage(p)))
	}
}

// isHalfFull reports whether a table has half of the entries that it may have. A limit of 0 is none.
func isHalfFull(entries, limit *int64) bool {
	return entries != nil && limit != nil && *limit > 0 && *entries >= *limit/2
}

// sampleIfDue is called after each pass, so that the processor wakes up once for both. It makes run take a
// sample now if the last one is old enough; a pass may be a tenth early, because resyncs are. It never
// blocks. It returns the time until the next sample is due.
func (t *tableTask) sampleIfDue() time.Duration {
	t.mu.Lock()
	age, interval := time.Since(t.lastRun), t.interval
	t.mu.Unlock()
	switch {
	case interval == 0: // run takes the first sample by itself
		return usualInterval
	case age >= interval-interval/10:
		notify(t.due)
		return interval
	}
	return interval - age
}

// recent returns the latest sample, or a new one if that is older than maxAge: readers that poll cause
// at most one sample a second. A sample of an absent module is never returned again: it is out of date
// as soon as the module is loaded, and a new one costs no more than a few names that do not exist.
func (t *tableTask) recent() table.Sample {
	t.reading.Lock()
	defer t.reading.Unlock()
	t.mu.Lock()
	latest := t.latest
	t.mu.Unlock()
	if now := time.Now(); latest.Max == nil || now.Sub(latest.At) > maxAge {
		latest = t.take(now)
		t.mu.Lock()
		t.latest = latest
		t.mu.Unlock()
	}
	return latest
}

// notify sends to a channel with room for one value. It never blocks.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

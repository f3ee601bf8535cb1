package daemon

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/table"
)

const (
	// sampleInterval is how often the table is sampled. A pass shortly before that
	// triggers the sample, so that the processor wakes up once for both.
	sampleInterval = 5 * time.Second
	sampleWithPass = sampleInterval * 9 / 10
	sampleAlone    = sampleInterval * 11 / 10
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
}

func newTableTask(root string, record func(reconcile.Event)) *tableTask {
	return &tableTask{
		take: table.NewSampler(root).Take, record: record,
		monitor: table.NewMonitor(int(pointHours / sampleInterval)),
		due:     make(chan struct{}, 1),
	}
}

// run takes samples until ctx ends.
func (t *tableTask) run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		t.sample(time.Now())
		// ±5 % of jitter, as in the keeper's resync.
		timer.Reset(sampleAlone - sampleAlone/20 + rand.N(sampleAlone/10+1))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		case <-t.due:
		}
	}
}

func (t *tableTask) sample(at time.Time) {
	sample := t.take(at)
	t.mu.Lock()
	t.latest, t.lastRun = sample, sample.At
	t.mu.Unlock()
	for _, p := range t.monitor.Add(sample) {
		t.record(reconcile.TablePressureEvent(p.At, reconcile.Pressure{
			Table: p.Table, Level: string(p.Level), Dropping: p.Dropping, Entries: p.Entries, Limit: p.Limit,
		}, p.Message))
	}
}

// sampleIfDue is called after each pass. It makes run take a sample now if the last one is at least
// sampleWithPass old. It never blocks.
func (t *tableTask) sampleIfDue() {
	t.mu.Lock()
	isDue := !t.lastRun.IsZero() && time.Since(t.lastRun) >= sampleWithPass
	t.mu.Unlock()
	if isDue {
		notify(t.due)
	}
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

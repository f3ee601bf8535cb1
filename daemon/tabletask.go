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
	// sampleInterval is how often the table is sampled. A pass that is due about then takes
	// the sample along, so that the processor is woken once for both.
	sampleInterval = 5 * time.Second
	sampleWithPass = sampleInterval * 9 / 10
	sampleAlone    = sampleInterval * 11 / 10
	// pointHours is how far the plots go back.
	pointHours = 6 * time.Hour
	// maxAge is how old the figures may be that a reader gets.
	maxAge = time.Second
)

// tableTask samples the table periodically and records pressure on it.
type tableTask struct {
	take    func(time.Time) table.Sample
	record  func(reconcile.Event)
	monitor *table.Monitor
	// sampled gets something after each sample of run's.
	sampled chan struct{}
	passing chan struct{}

	reading sync.Mutex // held by a reader that samples, never by the keeper or by run
	mu      sync.Mutex // held for a moment
	latest  table.Sample
	ranAt   time.Time // when run took its last sample
}

func newTableTask(root string, record func(reconcile.Event)) *tableTask {
	return &tableTask{
		take: table.NewSampler(root).Take, record: record,
		monitor: table.NewMonitor(int(pointHours / sampleInterval)),
		sampled: make(chan struct{}, 1), passing: make(chan struct{}, 1),
	}
}

// run takes samples until ctx ends.
func (t *tableTask) run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		t.sample(time.Now())
		// A tenth of jitter, as the keeper's resync has it.
		timer.Reset(sampleAlone - sampleAlone/20 + rand.N(sampleAlone/10+1))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		case <-t.passing:
		}
	}
}

func (t *tableTask) sample(at time.Time) {
	sample := t.take(at)
	t.mu.Lock()
	t.latest, t.ranAt = sample, sample.At
	t.mu.Unlock()
	for _, p := range t.monitor.Add(sample) {
		t.record(reconcile.TablePressureEvent(p.At, reconcile.Pressure{
			Table: p.Table, Level: string(p.Level), Dropping: p.Dropping, Entries: p.Entries, Limit: p.Limit,
		}, p.Message))
	}
	notify(t.sampled)
}

// passed makes run sample now if a sample is about due. It never blocks.
func (t *tableTask) passed() {
	t.mu.Lock()
	due := !t.ranAt.IsZero() && time.Since(t.ranAt) >= sampleWithPass
	t.mu.Unlock()
	if due {
		notify(t.passing)
	}
}

// recent returns the latest sample, or a new one where that is older than maxAge: readers in a
// loop cost one sample a second.
func (t *tableTask) recent() table.Sample {
	t.reading.Lock()
	defer t.reading.Unlock()
	t.mu.Lock()
	latest := t.latest
	t.mu.Unlock()
	if now := time.Now(); latest.At.IsZero() || now.Sub(latest.At) > maxAge {
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

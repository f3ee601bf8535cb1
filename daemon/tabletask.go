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
	// lookInterval is how often the table is looked at; a pass that falls due about then
	// takes the look along, so that the processor is woken once for both.
	lookInterval = 5 * time.Second
	lookAlong    = lookInterval * 9 / 10
	lookAlone    = lookInterval * 11 / 10
	// pointHours is how long the plots reach back.
	pointHours = 6 * time.Hour
	// fresh is how old what is told at a scrape may be.
	fresh = time.Second
)

// tableTask looks at the table every so often and tells of pressure.
type tableTask struct {
	look    func(time.Time) table.Sample
	record  func(reconcile.Event)
	monitor *table.Monitor
	// done is called after each look.
	done  func()
	nudge chan struct{}

	asking sync.Mutex // held by who asks, never by the keeper or the task
	mu     sync.Mutex // held for a moment
	last   table.Sample
	asked  table.Sample
}

func newTableTask(root string, record func(reconcile.Event)) *tableTask {
	return &tableTask{
		look: table.NewSampler(root).Take, record: record, monitor: table.NewMonitor(int(pointHours / lookInterval)),
		done: func() {}, nudge: make(chan struct{}, 1),
	}
}

// run looks until ctx ends.
func (t *tableTask) run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		t.once(time.Now())
		// A tenth of jitter, as the keeper's own look has it.
		timer.Reset(lookAlone - lookAlone/20 + rand.N(lookAlone/10+1))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		case <-t.nudge:
		}
	}
}

func (t *tableTask) once(at time.Time) {
	sample := t.look(at)
	t.mu.Lock()
	t.last = sample
	t.mu.Unlock()
	for _, p := range t.monitor.Add(sample) {
		t.record(reconcile.Event{
			At: p.At, Kind: reconcile.KindTablePressure, Message: p.Message,
			Table: p.Table, Level: string(p.Level), Dropping: p.Dropping, Entries: p.Entries, Limit: p.Limit,
		})
	}
	t.done()
}

// passed has the task look now where a look is about due. It never blocks.
func (t *tableTask) passed() {
	t.mu.Lock()
	due := !t.last.At.IsZero() && time.Since(t.last.At) >= lookAlong
	t.mu.Unlock()
	if due {
		poke(t.nudge)
	}
}

// recent is the last look, or a new one where that is older than fresh: whoever asks in a
// loop costs one look a second.
func (t *tableTask) recent() table.Sample {
	t.asking.Lock()
	defer t.asking.Unlock()
	t.mu.Lock()
	last := t.last
	t.mu.Unlock()
	now := time.Now()
	if last.At.Before(t.asked.At) {
		last = t.asked
	}
	if last.At.IsZero() || now.Sub(last.At) > fresh {
		last = t.look(now)
		t.asked = last
	}
	return last
}

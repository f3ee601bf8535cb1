package reconcile

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

// Kernel is the system that a Keeper keeps.
type Kernel interface {
	// Module looks at nf_conntrack.
	Module() Module
	// Read and Write access a setting; see sysfs.Files for the errors.
	Read(*sysfs.Setting) (sysfs.Value, error)
	Write(*sysfs.Setting, sysfs.Value) error
	// Count returns the number of tracked connections, for the warning when max is lowered
	// under it.
	Count() (int64, error)
	// Remedy returns why this process may not write a setting, and what to do about it.
	Remedy(*sysfs.Setting, error) string
}

// Observer is called by passes, from the goroutine of the pass. Only Record and Passed may
// call the Keeper; none may block for long.
type Observer interface {
	// Adopted is called with each desired state that a pass takes over, before it reads or
	// writes anything.
	Adopted(*Desired)
	// ModuleChanged is called when the module was loaded or unloaded, before settings are read:
	// the place to set watches again.
	ModuleChanged()
	// Record is called for each event, in order, after the pass has written.
	Record(Event)
	// Passed is called after each pass, with all reasons for it, the time that reading and
	// writing took, and whether the report's Summary differs from the one before.
	Passed(reasons Reason, took time.Duration, changed bool)
}

// RecordOnly is an Observer that calls itself for each event and does nothing else.
type RecordOnly func(Event)

// Adopted does nothing.
func (RecordOnly) Adopted(*Desired) {}

// ModuleChanged does nothing.
func (RecordOnly) ModuleChanged() {}

// Record calls r.
func (r RecordOnly) Record(e Event) { r(e) }

// Passed does nothing.
func (RecordOnly) Passed(Reason, time.Duration, bool) {}

// Attributor finds the process that caused what a pass found; guard.Guard is one. It returns nil
// where none is known. What it returns must not be changed. It is called within a pass, and must
// not call the Keeper.
type Attributor interface {
	// WriterOf returns the last process that gave a setting the value found, at after or later.
	WriterOf(s *sysfs.Setting, found sysfs.Value, after time.Time) *sysfs.Writer
	// ModuleChangedBy returns the last process that loaded the module, or unloaded it, at after
	// or later.
	ModuleChangedBy(loaded bool, after time.Time) *sysfs.Writer
}

// Options are what a Keeper works with. Kernel and Observer are needed.
type Options struct {
	Kernel   Kernel
	Observer Observer
	// Attributor may be nil.
	Attributor Attributor
	// Heartbeat is the longest time between two passes, for a watchdog. 0 means no limit.
	Heartbeat time.Duration
}

// Keeper applies the desired state and keeps it applied. Wake, SetDesired and Report may be
// called from any goroutine, and never wait for a pass. Passes run one at a time.
type Keeper struct {
	opts     Options
	desired  atomic.Pointer[Desired]
	report   atomic.Pointer[Report]
	waker    *waker
	ready    chan struct{}
	setReady sync.Once

	mu        sync.Mutex // held during a pass
	adopted   *Desired
	tracked   []*tracked
	module    Module
	looked    bool // the module was looked at before
	loads     int
	settling  time.Duration // the wait for a load or an unload under way
	lastPass  time.Time
	lastCount Summary
}

// New returns a keeper of the desired state. It reads and writes nothing before Run or Pass.
func New(opts Options, desired *Desired) *Keeper {
	k := &Keeper{opts: opts, waker: newWaker(), ready: make(chan struct{})}
	k.desired.Store(desired)
	k.report.Store(&Report{})
	return k
}

// SetDesired replaces the desired state and wakes the loop: for Config, or for Resync where the
// wants are the same.
func (k *Keeper) SetDesired(d *Desired, why Reason) {
	k.desired.Store(d)
	k.Wake(why)
}

// Wake requests a pass. It never blocks.
func (k *Keeper) Wake(why Reason) { k.waker.wake(why, time.Now()) }

// Ready is closed after the first pass.
func (k *Keeper) Ready() <-chan struct{} { return k.ready }

// Report returns the result of the last pass, and an empty report before the first one. A pass
// that is under way, as during the resize of a large hash table, does not delay it.
func (k *Keeper) Report() Report { return *k.report.Load() }

// Run makes a first pass, and then one for each wake and whenever one is due, until ctx ends. It
// returns ctx's error.
func (k *Keeper) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	reasons, since := Start, time.Now()
	for {
		k.Pass(reasons, since)
		k.setReady.Do(func() { close(k.ready) })
		timer.Reset(k.untilNextPass())
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-k.waker.c:
			reasons, since = k.waker.take()
		case <-timer.C:
			reasons, since = Resync, time.Now()
		}
	}
}

// untilNextPass returns how long the loop may sleep without an event.
func (k *Keeper) untilNextPass() time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	const never = time.Duration(1<<63 - 1)
	wait := never
	if resync := k.adopted.Resync; resync > 0 {
		// A tenth of jitter, so that the hosts of a fleet, and writers that run every N seconds,
		// do not stay in step with it.
		wait = resync - resync/20 + rand.N(resync/10+1)
	}
	if k.opts.Heartbeat > 0 {
		wait = min(wait, k.opts.Heartbeat)
	}
	if k.settling > 0 {
		wait = min(wait, k.settling)
	}
	for _, t := range k.tracked {
		if next := t.nextPass(k.adopted.Mode); !next.IsZero() {
			wait = min(wait, time.Until(next))
		}
	}
	return max(wait, 0)
}

// publish makes the result of the pass that is about to end the Report, and reports whether its
// Summary has changed.
func (k *Keeper) publish() bool {
	r := &Report{
		At: k.lastPass, Mode: k.adopted.Mode, Module: k.module, Loads: k.loads,
		Settings: make([]Setting, len(k.tracked)),
	}
	for i, t := range k.tracked {
		r.Settings[i] = t.status
	}
	k.report.Store(r)
	before := k.lastCount
	k.lastCount = r.Summary()
	return k.lastCount != before
}

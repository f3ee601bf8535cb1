package reconcile

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

// Kernel is access to the settings that a Keeper reads and writes.
type Kernel interface {
	// Module reads the state of nf_conntrack.
	Module() Module
	// Read and Write access a setting; see sysfs.Files for the errors.
	Read(*sysfs.Setting) (sysfs.Value, error)
	Write(*sysfs.Setting, sysfs.Value) error
	// Count returns the number of tracked connections, for the warning when max is set below it.
	Count() (int64, error)
	// Remedy returns why the write of a setting failed with a permission error, and how to fix it.
	Remedy(*sysfs.Setting, error) string
}

// Hooks are the callbacks of a pass, in its goroutine. Only Record and OnPass may call the Keeper; none
// may block for long.
type Hooks interface {
	// OnDesired is called when a pass begins to use a new desired state, before it reads or writes
	// anything.
	OnDesired(*Desired)
	// OnModuleChange is called after the module was loaded or unloaded: the place to set watches again.
	// The repairs do not wait for it. Another pass follows, because a write before the watches were set
	// caused no event.
	OnModuleChange()
	// Record is called for each event of a pass, in order, after its last write.
	Record(Event)
	// OnPass is called after each pass, with all reasons for it, the time that reading and writing took,
	// and whether the report's Summary differs from the previous one. The first pass is a change.
	OnPass(reasons Reason, took time.Duration, changed bool)
}

// EventFunc implements Hooks: Record calls the function, the other hooks do nothing.
type EventFunc func(Event)

// OnDesired does nothing.
func (EventFunc) OnDesired(*Desired) {}

// OnModuleChange does nothing.
func (EventFunc) OnModuleChange() {}

// Record calls r.
func (r EventFunc) Record(e Event) { r(e) }

// OnPass does nothing.
func (EventFunc) OnPass(Reason, time.Duration, bool) {}

// Attributor finds the process that caused a drift or a module change; guard.Guard implements it. Its
// methods return nil where the process is not known, and what they return must not be changed. They
// are called within a pass and must not call the Keeper.
type Attributor interface {
	// WriterOf returns the last process that wrote the value found to a setting, at after or later.
	WriterOf(s *sysfs.Setting, found sysfs.Value, after time.Time) *sysfs.Writer
	// ModuleChanger returns the last process that loaded the module, or unloaded it, at after
	// or later.
	ModuleChanger(loaded bool, after time.Time) *sysfs.Writer
	// IsWatching reports whether every write to a sysctl is reported, through any mount of procfs.
	IsWatching() bool
}

// Options are the parameters of New. Kernel and Hooks are required.
type Options struct {
	Kernel Kernel
	Hooks  Hooks
	// Attributor may be nil.
	Attributor Attributor
	// Heartbeat returns the longest time until the next pass, whatever the configuration says. It is
	// called after each pass. nil means no limit.
	Heartbeat func() time.Duration
	// Alarm is the clock of Run; nil is a timer of the Go runtime.
	Alarm Alarm
}

// Keeper applies the desired state and keeps it applied. Wake, SetDesired and Report may be
// called from any goroutine, and do not wait for a pass. Passes run one at a time.
type Keeper struct {
	opts     Options
	desired  atomic.Pointer[Desired]
	report   atomic.Pointer[Report]
	waker    *waker
	ready    chan struct{}
	setReady sync.Once

	mu            sync.Mutex // held during a pass
	adopted       *Desired   // the desired state of the last pass; desired is that of the next one
	tracked       []*tracked
	byFile        map[string]*tracked // by the name of the setting's file
	pass          pass                // reused, so that a pass without changes allocates nothing
	module        Module
	moduleKnown   bool // a pass has read the state of the module
	loads         int
	moduleRecheck time.Duration // the wait before the next look at a module in transition; 0 without one
	lastPass      time.Time     // the begin of the last pass
}

// New returns a keeper of the desired state. It reads and writes nothing before Run or Pass.
func New(opts Options, desired *Desired) *Keeper {
	if opts.Alarm == nil {
		opts.Alarm = newTimerAlarm()
	}
	k := &Keeper{opts: opts, waker: &waker{alarm: opts.Alarm}, ready: make(chan struct{})}
	k.desired.Store(desired)
	k.report.Store(&Report{})
	return k
}

// SetDesired replaces the desired state and wakes the loop. The reason is Config, or Resync where the
// wants are the same.
func (k *Keeper) SetDesired(d *Desired, reason Reason) {
	k.desired.Store(d)
	k.Wake(reason)
}

// Wake requests a pass. It never blocks.
func (k *Keeper) Wake(reason Reason) { k.waker.wake(reason, time.Now(), 0) }

// Ready returns a channel that is closed after the first pass.
func (k *Keeper) Ready() <-chan struct{} { return k.ready }

// Report returns the result of the last complete pass, and an empty report before the first one. It
// does not wait for a pass, which the resize of a large hash table can make long.
func (k *Keeper) Report() Report { return *k.report.Load() }

// Run makes a first pass, and then one after each wake and each time that untilNextPass returned, until
// ctx ends. It returns ctx's error.
func (k *Keeper) Run(ctx context.Context) error {
	reasons, since := Start, time.Now()
	for {
		k.Pass(reasons, since)
		k.setReady.Do(func() { close(k.ready) })
		k.waker.rest(time.Now(), k.untilNextPass())
		if err := k.opts.Alarm.Wait(ctx); err != nil {
			return err
		}
		reasons, since = k.waker.take(time.Now())
	}
}

// untilNextPass returns the time until the next pass is due without an event: for the resync, the
// heartbeat, a module in transition, a retry or a contest.
func (k *Keeper) untilNextPass() time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	wait, resync := never, k.adopted.Resync
	if k.opts.Attributor != nil && k.opts.Attributor.IsWatching() {
		resync = k.adopted.GuardedResync
	}
	if resync > 0 {
		// ±5 % of jitter, so that hosts of a fleet do not resync at the same moment, and so that a
		// resync does not coincide again and again with a writer that runs every N seconds.
		wait = resync - resync/20 + rand.N(resync/10+1)
	}
	if k.opts.Heartbeat != nil {
		wait = min(wait, k.opts.Heartbeat())
	}
	if k.moduleRecheck > 0 {
		wait = min(wait, k.moduleRecheck)
	}
	for _, t := range k.tracked {
		if next := t.nextPass(k.adopted.Mode); !next.IsZero() {
			wait = min(wait, time.Until(next))
		}
	}
	return max(wait, 0)
}

// publish stores the result of the pass as the Report, and reports whether its Summary has changed. A
// report that would be the same stays.
func (k *Keeper) publish() bool {
	last := k.report.Load()
	if k.isCurrent(last) {
		return false
	}
	r := &Report{
		Mode: k.adopted.Mode, Module: k.module, Loads: k.loads, Settings: make([]SettingStatus, len(k.tracked)),
	}
	for i, t := range k.tracked {
		r.Settings[i] = t.status
	}
	k.report.Store(r)
	return r.Summary() != last.Summary()
}

// isCurrent reports whether a report is the result of the last pass.
func (k *Keeper) isCurrent(r *Report) bool {
	if r.Mode != k.adopted.Mode || r.Module != k.module || r.Loads != k.loads || len(r.Settings) != len(k.tracked) {
		return false
	}
	for i, t := range k.tracked {
		if r.Settings[i] != t.status {
			return false
		}
	}
	return true
}

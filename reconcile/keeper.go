package reconcile

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

// Kernel is where settings are read and written: sysfs.Files.
type Kernel interface {
	Read(*sysfs.Setting) (string, error)
	Write(s *sysfs.Setting, value string) error
}

// Witness names who did what a pass found. Nil answers mean that nobody was seen; others are
// never changed afterwards. It is asked within the pass, and must not wait for the Keeper.
// guard.Guard is one.
type Witness interface {
	// Wrote names who last gave a setting the value that was found, at after or later.
	Wrote(s *sysfs.Setting, found string, after time.Time) *sysfs.Writer
	// Moved names who last loaded the module, or unloaded it, at after or later.
	Moved(loaded bool, after time.Time) *sysfs.Writer
}

// Options are what a Keeper works with. Kernel, Module and Recorder are needed;
// the rest may be nil or zero.
type Options struct {
	Kernel   Kernel
	Recorder Recorder
	// Module looks at nf_conntrack, whose name is ModuleName.
	Module     func() Module
	ModuleName string
	// Count gives the number of tracked connections, for the warning when max
	// is lowered under it.
	Count func() (int64, error)
	// WayOut turns a refusal of rights into advice.
	WayOut func(*sysfs.Setting, error) string
	// ModuleMoved is called before settings are read when the module came or
	// went: the place to set watches anew.
	ModuleMoved func()
	// Adopted is called with each desired state that a pass takes over, before it reads or
	// writes anything. It must not wait for the Keeper.
	Adopted func(*Desired)
	// Witness is asked after a pass has written, for what it found.
	Witness Witness
	// Changed is called after each pass that changed the summary.
	Changed func()
	// Passed is called after each pass with all that woke it and the time that looking,
	// writing and reading back took. It must be quick.
	Passed func(Reason, time.Duration)
	// Beat is called after each pass, and at least every Heartbeat (0: no bound).
	Beat      func()
	Heartbeat time.Duration
}

// Keeper makes the kernel's settings so and keeps them so. Wake, SetDesired and
// Report may be called from anywhere; passes run one at a time.
type Keeper struct {
	opts    Options
	desired atomic.Pointer[Desired]
	waker   *waker
	ready   chan struct{}
	begin   sync.Once

	mu       sync.Mutex // held through a pass
	adopted  *Desired
	keepings []*keeping
	module   Module
	looked   bool // the module has been looked at once
	loads    int
	settling time.Duration // how long to wait for a module that is coming or going
	last     Summary
	at       time.Time
}

// New gives a keeper of the desired state. Nothing is read or written before
// Run or Pass.
func New(opts Options, desired *Desired) *Keeper {
	k := &Keeper{opts: opts, waker: newWaker(), ready: make(chan struct{})}
	k.desired.Store(desired)
	return k
}

// SetDesired replaces the desired state and wakes the loop for the reason given:
// Config, or Resync where nothing is wanted differently.
func (k *Keeper) SetDesired(d *Desired, why Reason) {
	k.desired.Store(d)
	k.Wake(why)
}

// Wake asks for a pass and says why. It never blocks.
func (k *Keeper) Wake(r Reason) { k.waker.wake(r, time.Now()) }

// Ready is closed when the first pass is done.
func (k *Keeper) Ready() <-chan struct{} { return k.ready }

// Run makes a first pass, and then one for every wake and whenever one is due,
// until ctx ends. It returns ctx's error.
func (k *Keeper) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	reasons, since := Start, time.Now()
	for {
		k.Pass(reasons, since)
		k.begin.Do(func() { close(k.ready) })
		timer.Reset(k.wait())
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

// wait is how long the loop may sleep when nobody wakes it.
func (k *Keeper) wait() time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	const never = time.Duration(1<<63 - 1)
	wait := never
	if resync := k.adopted.Resync; resync > 0 {
		// A tenth of jitter keeps a fleet, and the writers that run every N
		// seconds, from falling into step with us.
		wait = resync - resync/20 + rand.N(resync/10+1)
	}
	if k.opts.Heartbeat > 0 {
		wait = min(wait, k.opts.Heartbeat)
	}
	if k.settling > 0 {
		wait = min(wait, k.settling)
	}
	for _, kp := range k.keepings {
		if due := kp.due(k.adopted.Mode); !due.IsZero() {
			wait = min(wait, time.Until(due))
		}
	}
	return max(wait, 0)
}

// Report tells where everything stood at the end of the last pass.
func (k *Keeper) Report() Report {
	k.mu.Lock()
	defer k.mu.Unlock()
	r := Report{At: k.at, Module: k.module, Loads: k.loads, Settings: make([]Setting, len(k.keepings))}
	if k.adopted != nil {
		r.Mode = k.adopted.Mode
	}
	for i, kp := range k.keepings {
		r.Settings[i] = kp.status
		if kp.status.LastDrift != nil {
			drift := *kp.status.LastDrift
			r.Settings[i].LastDrift = &drift
		}
	}
	return r
}

func (k *Keeper) summary() Summary {
	s := Summary{Module: k.module, Mode: k.adopted.Mode, Settings: len(k.keepings)}
	for _, kp := range k.keepings {
		s.add(kp.status.State)
	}
	return s
}

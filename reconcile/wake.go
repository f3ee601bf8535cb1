package reconcile

import (
	"slices"
	"strings"
	"sync"
	"time"
)

// Reason says why a pass is wanted. Reasons are a set: several that come while
// a pass runs make one more pass.
type Reason uint8

// The reasons for a pass.
const (
	// Start is the first pass.
	Start Reason = 1 << iota
	// Config: the desired state was replaced, or a person asked (SIGHUP).
	Config
	// ModuleMoved: a uevent said that the module came or went.
	ModuleMoved
	// Write: somebody wrote a setting.
	Write
	// Resync: nobody said anything for a while.
	Resync
	// Overflow: a queue overran and events were lost.
	Overflow
	// Guard: the guard saw a foreign write, through whatever procfs it came.
	Guard
)

// Has reports whether r contains any reason of other.
func (r Reason) Has(other Reason) bool { return r&other != 0 }

// String names the reasons: "write+overflow".
func (r Reason) String() string {
	var names []string
	for bit, name := range map[Reason]string{
		Start: "start", Config: "config", ModuleMoved: "module", Write: "write", Resync: "resync", Overflow: "overflow", Guard: "guard",
	} {
		if r.Has(bit) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, "+")
}

// waker is the one slot between everything that hears events and the loop.
type waker struct {
	c chan struct{}

	mu      sync.Mutex
	reasons Reason
	since   time.Time
}

func newWaker() *waker { return &waker{c: make(chan struct{}, 1)} }

// wake adds a reason. It never blocks.
func (w *waker) wake(r Reason, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reasons == 0 {
		w.since = now
	}
	w.reasons |= r
	select {
	case w.c <- struct{}{}:
	default:
	}
}

// take empties the slot: the reasons that gathered and when the first one came. A wake since
// the slot was seen full is among them, and leaves no pass without a reason behind.
func (w *waker) take() (Reason, time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.c:
	default:
	}
	r, since := w.reasons, w.since
	w.reasons = 0
	return r, since
}

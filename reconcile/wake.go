package reconcile

import (
	"slices"
	"strings"
	"sync"
	"time"
)

// Reason is a set of reasons for a pass. Reasons that arise during a pass make one more pass.
type Reason uint8

// The reasons for a pass.
const (
	// Start is the first pass.
	Start Reason = 1 << iota
	// Config: the desired state was replaced, or a person asked (SIGHUP).
	Config
	// ModuleMoved: a uevent announced a load or an unload of the module.
	ModuleMoved
	// Write: inotify reported a write to a setting.
	Write
	// Resync: it is time for a regular pass.
	Resync
	// Overflow: a queue overflowed and events were lost.
	Overflow
	// Guard: the guard saw a foreign write, through any procfs instance.
	Guard
)

// Has reports whether r contains any reason of other.
func (r Reason) Has(other Reason) bool { return r&other != 0 }

// String is the names of the reasons: "write+overflow".
func (r Reason) String() string {
	var names []string
	for bit, name := range map[Reason]string{
		Start:       "start",
		Config:      "config",
		ModuleMoved: "module",
		Write:       "write",
		Resync:      "resync",
		Overflow:    "overflow",
		Guard:       "guard",
	} {
		if r.Has(bit) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, "+")
}

// waker is the slot between the sources of events and the loop: it holds one set of reasons.
type waker struct {
	c chan struct{} // has an element while there are reasons

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

// take empties the slot. It returns the reasons and when the first of them arose. A wake that
// came after the loop saw the slot full is among them, and does not cause a pass without a reason.
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

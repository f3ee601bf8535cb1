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
	// Config: the desired state was replaced, or an operator sent SIGHUP.
	Config
	// ModuleChange: a uevent announced a load or an unload of the module, or a write found the file of its
	// setting gone.
	ModuleChange
	// Write: inotify reported a write to a setting.
	Write
	// Resync: a pass was due without an event.
	Resync
	// Overflow: a queue overflowed and events were lost.
	Overflow
	// Guard: the guard reported a foreign write, through any procfs instance.
	Guard
)

// Has reports whether r contains any reason of other.
func (r Reason) Has(other Reason) bool { return r&other != 0 }

// String returns the names of the reasons, sorted: "write+overflow".
func (r Reason) String() string {
	var names []string
	for bit, name := range map[Reason]string{
		Start: "start", Config: "config", ModuleChange: "module", Write: "write", Resync: "resync",
		Overflow: "overflow", Guard: "guard",
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

// take empties the slot. It returns the reasons, and when the first of them arose. The loop has
// already received from c; a wake since then has filled c again. take empties c too, because it
// returns the reason of that wake, and a second pass would have none.
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

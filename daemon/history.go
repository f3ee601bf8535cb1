package daemon

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/ctkeeper/ctkeeper/reconcile"
)

// historySize is how many events the daemon remembers.
const historySize = 1024

// history remembers the last events and lets readers wait for the next.
type history struct {
	mu     sync.Mutex
	events []reconcile.Event
	next   int           // number of the event that comes next, counted from the start
	more   chan struct{} // closed when it has come
}

func newHistory() *history { return &history{more: make(chan struct{})} }

func (h *history) add(e reconcile.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.events) == historySize {
		h.events = append(h.events[:0], h.events[1:]...)
	}
	h.events = append(h.events, e)
	h.next++
	close(h.more)
	h.more = make(chan struct{})
}

// from returns the events that are numbered n or later and still remembered, the
// number of the one to come, and what is closed when it has come.
func (h *history) from(n int) ([]reconcile.Event, int, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	first := h.next - len(h.events)
	if n < first {
		n = first
	}
	return append([]reconcile.Event(nil), h.events[n-first:]...), h.next, h.more
}

// since gives the events after a moment, oldest first, and, when follow is true,
// those to come until ctx ends. flush is called whenever it has to wait.
func (h *history) since(ctx context.Context, after time.Time, follow bool, flush func()) iter.Seq[reconcile.Event] {
	return func(yield func(reconcile.Event) bool) {
		for n := 0; ; {
			events, next, more := h.from(n)
			n = next
			for _, e := range events {
				if e.At.After(after) && !yield(e) {
					return
				}
			}
			if !follow {
				return
			}
			flush()
			select {
			case <-ctx.Done():
				return
			case <-more:
			}
		}
	}
}

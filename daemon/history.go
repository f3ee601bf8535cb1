package daemon

import (
	"context"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ctkeeper/ctkeeper/reconcile"
)

const (
	// historySize is how many events the daemon keeps.
	historySize = 1024
	// maxText is how many bytes of a text are kept: a refused configuration may have
	// thousands of errors. The log has all of it.
	maxText = 8 << 10
	// oldest is smaller than the number of any event.
	oldest = -historySize
)

// history keeps the last events and lets readers wait for the next. The events of this daemon
// are numbered from 0, those of earlier daemons below.
type history struct {
	mu     sync.Mutex
	events []reconcile.Event
	next   int           // number of the next event
	added  chan struct{} // closed, and replaced, when it is added
}

func newHistory() *history { return &history{added: make(chan struct{})} }

func (h *history) add(e reconcile.Event) {
	e.Error, e.Note, e.Message = clip(e.Error), clip(e.Note), clip(e.Message)
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.events) == historySize {
		h.events = append(h.events[:0], h.events[1:]...)
	}
	h.events = append(h.events, e)
	h.next++
	close(h.added)
	h.added = make(chan struct{})
}

func clip(text string) string {
	if len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(text[:maxText], "") + "…"
}

// prepend adds the events of earlier daemons before this one's, as far as there is room.
func (h *history) prepend(events []reconcile.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	events = events[max(0, len(events)+len(h.events)-historySize):]
	h.events = slices.Concat(events, h.events)
}

// since returns the events after a time, oldest first.
func (h *history) since(t time.Time) []reconcile.Event {
	events, _, _ := h.from(oldest)
	return slices.DeleteFunc(events, func(e reconcile.Event) bool { return !e.At.After(t) })
}

// from returns a copy of the events that are numbered n or later, the number of the next event, and a
// channel that is closed when that is added.
func (h *history) from(n int) ([]reconcile.Event, int, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	first := h.next - len(h.events)
	return slices.Clone(h.events[max(n, first)-first:]), h.next, h.added
}

// stream returns the events after a time, oldest first, and with follow the new ones until ctx
// ends. It calls flush before it waits.
func (h *history) stream(ctx context.Context, after time.Time, follow bool, flush func()) iter.Seq[reconcile.Event] {
	return func(yield func(reconcile.Event) bool) {
		for n := oldest; ; {
			events, next, added := h.from(n)
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
			case <-added:
			}
		}
	}
}

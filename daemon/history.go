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
	// historySize is how many events the daemon remembers.
	historySize = 1024
	// maxText is how much of a text is remembered, in bytes: a refused configuration may
	// have thousands of errors. The log has it whole.
	maxText = 8 << 10
	// oldest is a number before that of any event.
	oldest = -historySize
)

// history remembers the last events and lets readers wait for the next. Those of this
// daemon are numbered from 0, those of the daemons before it below.
type history struct {
	mu     sync.Mutex
	events []reconcile.Event
	next   int           // number of the event that comes next
	more   chan struct{} // closed when it has come
}

func newHistory() *history { return &history{more: make(chan struct{})} }

func (h *history) add(e reconcile.Event) {
	e.Error, e.Note, e.Message = clip(e.Error), clip(e.Note), clip(e.Message)
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

func clip(text string) string {
	if len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(text[:maxText], "") + "…"
}

// recall puts the events of former daemons before those of this one, as far as there is
// room.
func (h *history) recall(events []reconcile.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	events = events[max(0, len(events)+len(h.events)-historySize):]
	h.events = slices.Concat(events, h.events)
}

// remembered gives all events, oldest first.
func (h *history) remembered() []reconcile.Event {
	events, _, _ := h.from(oldest)
	return events
}

// after gives the events after a moment, oldest first.
func (h *history) after(moment time.Time) []reconcile.Event {
	return slices.DeleteFunc(h.remembered(), func(e reconcile.Event) bool { return !e.At.After(moment) })
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
		for n := oldest; ; {
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

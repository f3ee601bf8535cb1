package daemon

import (
	"context"
	"encoding/json"
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
	mu      sync.Mutex
	entries []entry
	next    int           // number of the next event
	added   chan struct{} // closed, and replaced, when it is added
}

// entry is an event as a line of JSON, which is what the file and the clients get. It takes a third of
// the memory that the fields would.
type entry struct {
	at   time.Time
	line json.RawMessage // with its newline
}

func newEntry(e reconcile.Event) entry {
	text, _ := json.Marshal(e) // an Event can be encoded
	return entry{e.At, slices.Concat(text, []byte{'\n'})}
}

func newHistory() *history { return &history{added: make(chan struct{})} }

func (h *history) add(e reconcile.Event) {
	e.Error, e.Note, e.Message = clip(e.Error), clip(e.Note), clip(e.Message)
	added := newEntry(e)
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.entries) == historySize {
		h.entries = append(h.entries[:0], h.entries[1:]...)
	}
	h.entries = append(h.entries, added)
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
func (h *history) prepend(entries []entry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	entries = entries[max(0, len(entries)+len(h.entries)-historySize):]
	h.entries = slices.Concat(entries, h.entries)
}

// decode returns the events of entries.
func decode(entries []entry) []reconcile.Event {
	events := make([]reconcile.Event, len(entries))
	for i, e := range entries {
		_ = json.Unmarshal(e.line, &events[i]) // it was encoded, or decoded before
	}
	return events
}

// from returns the events that are numbered n or later, the number of the next event, and a channel that
// is closed when that is added.
func (h *history) from(n int) ([]entry, int, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	first := h.next - len(h.entries)
	return slices.Clone(h.entries[max(n, first)-first:]), h.next, h.added
}

// stream returns the events after a time, oldest first, and with follow the new ones until ctx
// ends, each as a line of JSON. It calls flush before it waits.
func (h *history) stream(ctx context.Context, after time.Time, follow bool, flush func()) iter.Seq[json.RawMessage] {
	return func(yield func(json.RawMessage) bool) {
		for n := oldest; ; {
			entries, next, added := h.from(n)
			n = next
			for _, e := range entries {
				if e.at.After(after) && !yield(e.line) {
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

package doctor

import (
	"fmt"
	"time"

	"github.com/ctkeeper/ctkeeper/host/klog"
)

// tally counts messages of the kernel's log that say the same.
type tally struct {
	what        string
	count       int
	first, last klog.Message
}

// tallies counts the messages that the function has a name for, in the order in which
// they first came.
func (h *Host) tallies(name func(text string) string) []tally {
	var all []tally
	at := map[string]int{}
	for _, m := range h.Log.Messages {
		what := name(m.Text)
		if what == "" {
			continue
		}
		i, known := at[what]
		if !known {
			i = len(all)
			at[what] = i
			all = append(all, tally{what: what, first: m})
		}
		all[i].count++
		all[i].last = m
	}
	return all
}

// evidence is the message with how often it came, and from when to when.
func (t tally) evidence() Evidence {
	text := t.what
	switch {
	case t.count == 1 && !t.last.At.IsZero():
		text += " (at " + stamp(t.last.At) + ")"
	case t.count > 1 && t.last.At.IsZero():
		text += fmt.Sprintf(" (%d times)", t.count)
	case t.count > 1:
		text += fmt.Sprintf(" (%d times, %s to %s)", t.count, stamp(t.first.At), stamp(t.last.At))
	}
	return Evidence{t.last.Source, text}
}

func stamp(at time.Time) string { return at.Format("2006-01-02 15:04:05") }

// sinceConfigured reports whether one of the messages came after the configuration
// was last changed, or may have: logs of old systems do not tell when.
func (h *Host) sinceConfigured(all []tally) bool {
	for _, t := range all {
		if t.last.At.IsZero() || h.Place.Configured.IsZero() || t.last.At.After(h.Place.Configured) {
			return true
		}
	}
	return false
}

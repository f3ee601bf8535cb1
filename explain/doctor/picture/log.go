package picture

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/host/klog"
)

// Logged gives the kernel's messages that the function takes, the last few of them,
// as evidence.
func (h *Host) Logged(match func(text string) bool) []finding.Evidence {
	const most = 3 // proof enough: a full table logs without end
	var found []finding.Evidence
	for _, m := range h.Log.Messages {
		if match(m.Text) {
			found = append(found, finding.At(m.Source, m.Text))
		}
	}
	return found[max(0, len(found)-most):]
}

// Containing matches messages that hold one of the texts.
func Containing(texts ...string) func(string) bool {
	return func(message string) bool {
		return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(message, text) })
	}
}

// MessageCount counts messages of the kernel's log that say the same.
type MessageCount struct {
	What        string
	count       int
	first, last klog.Message
}

// CountMessages counts the messages that the function has a name for, in the order in which
// they first came.
func (h *Host) CountMessages(name func(text string) string) []MessageCount {
	var all []MessageCount
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
			all = append(all, MessageCount{What: what, first: m})
		}
		all[i].count++
		all[i].last = m
	}
	return all
}

// Evidence is the message with how often it came, and from when to when.
func (t MessageCount) Evidence() finding.Evidence {
	text := t.What
	switch {
	case t.count == 1 && !t.last.At.IsZero():
		text += " (at " + formatTime(t.last.At) + ")"
	case t.count > 1 && t.last.At.IsZero():
		text += fmt.Sprintf(" (%d times)", t.count)
	case t.count > 1:
		text += fmt.Sprintf(" (%d times, %s to %s)", t.count, formatTime(t.first.At), formatTime(t.last.At))
	}
	return finding.At(t.last.Source, text)
}

func formatTime(at time.Time) string { return at.Format("2006-01-02 15:04:05") }

// HasMessageSinceConfig reports whether one of the messages came after the configuration
// was last changed, or may have: logs of old systems do not tell when.
func (h *Host) HasMessageSinceConfig(all []MessageCount) bool {
	for _, t := range all {
		if t.last.At.IsZero() || h.Env.ConfigWritten.IsZero() || t.last.At.After(h.Env.ConfigWritten) {
			return true
		}
	}
	return false
}

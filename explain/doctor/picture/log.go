package picture

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/host/klog"
)

// Logged returns the last few messages of the kernel's log that match.
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

// Containing returns a match for messages that contain one of the texts.
func Containing(texts ...string) func(string) bool {
	return func(message string) bool {
		return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(message, text) })
	}
}

// MessageCount counts messages of the kernel's log that are the same.
type MessageCount struct {
	Text        string
	count       int
	first, last klog.Message
}

// CountMessages counts messages by the text that the function returns for them, in the order of their
// first occurrence. A message with an empty text is left out.
func (h *Host) CountMessages(textOf func(message string) string) []MessageCount {
	var all []MessageCount
	for _, m := range h.Log.Messages {
		text := textOf(m.Text)
		if text == "" {
			continue
		}
		i := slices.IndexFunc(all, func(c MessageCount) bool { return c.Text == text })
		if i < 0 {
			i = len(all)
			all = append(all, MessageCount{Text: text, first: m})
		}
		all[i].count++
		all[i].last = m
	}
	return all
}

// Evidence returns the message with its count and the times of the first and the last one.
func (c MessageCount) Evidence() finding.Evidence {
	const layout = "2006-01-02 15:04:05"
	first, last := c.first.At.Format(layout), c.last.At.Format(layout)
	text := c.Text
	switch isTimed := !c.last.At.IsZero(); {
	case c.count == 1 && isTimed:
		text += " (at " + last + ")"
	case c.count > 1 && isTimed:
		text += fmt.Sprintf(" (%d times, %s to %s)", c.count, first, last)
	case c.count > 1:
		text += fmt.Sprintf(" (%d times)", c.count)
	}
	return finding.At(c.last.Source, text)
}

// HasMessageSinceConfig reports whether a message is newer than the configuration, or can be: logs of
// old systems have no times.
func (h *Host) HasMessageSinceConfig(all []MessageCount) bool {
	return slices.ContainsFunc(all, func(c MessageCount) bool {
		return c.last.At.IsZero() || h.Env.ConfigWritten.IsZero() || c.last.At.After(h.Env.ConfigWritten)
	})
}

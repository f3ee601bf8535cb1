package term

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/ui/sgr"
)

// shownEvents returns the events of the shown kind and of the settings that the filter selects.
func (m model) shownEvents() []reconcile.Event {
	var shown []reconcile.Event
	for _, e := range m.events {
		isSelected := m.filter == "" || slices.ContainsFunc(e.SettingNames(), m.matches)
		if isSelected && (m.kind == "" || m.kind == e.Kind) {
			shown = append(shown, e)
		}
	}
	return shown
}

// log renders the last events, the newest at the bottom.
func (m model) log(p plan) []line {
	layout := "01-02 15:04:05 "
	if m.width < 60 {
		layout = "15:04:05 "
	}
	events := m.shownEvents()
	var lines []line
	for i := len(events) - 1; i >= 0 && len(lines) < p.events; i-- {
		e := events[i]
		indent, colour := len(layout), sgr.Of(status.EventSeverity(e))
		wrapped := m.wrap(e.Message, m.width-indent)
		if room := p.events - len(lines); len(wrapped) > room { // keep its beginning
			wrapped = append(wrapped[:room-1:room-1], strings.Join(wrapped[room-1:], " "))
		}
		for n := len(wrapped) - 1; n >= 0; n-- {
			l := line{{strings.Repeat(" ", indent), plain}, {wrapped[n], colour}}
			if n == 0 {
				l[0] = span{m.clock(e.At, layout), faint}
			}
			lines = append(lines, l)
		}
	}
	slices.Reverse(lines)
	if len(lines) == 0 && p.hasEventsTitle {
		lines = []line{{{"none yet", faint}}}
		if len(m.events) > 0 {
			lines = []line{{{fmt.Sprintf("none of these among the last %d", len(m.events)), faint}}}
		}
	}
	for len(lines) < p.events {
		lines = append(lines, nil)
	}
	if p.hasEventsTitle {
		title := "EVENTS"
		if m.kind != "" {
			title += " of kind " + string(m.kind)
		}
		lines = append([]line{{{title, bold}}}, lines...)
	}
	return lines
}

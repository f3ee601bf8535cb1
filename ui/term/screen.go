package term

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
)

// View draws the whole screen.
func (m model) View() tea.View {
	view := tea.NewView(m.screen())
	view.AltScreen = true
	return view
}

// plan is what each part of the screen gets.
type plan struct {
	// head are the lines above the settings: what is wrong, how full the tables are, charts, facts and counters.
	head []line
	// settings and events are lines without their titles.
	settings, events                 int
	hasSettingsTitle, hasEventsTitle bool
	// hasBlanks is true if there are empty lines between the parts.
	hasBlanks, hasFooter bool
}

// enoughEvents is the number of lines of events beyond which settings come first.
const enoughEvents = 8

// plan divides the lines: first what is wrong and how full the tables are, then the rest as far as there is room.
func (m model) plan() plan {
	var p plan
	problems := m.problems(max((m.height-2)/2, 1))
	left := m.height - len(problems)
	p.hasFooter = left >= 4
	if left >= 1 {
		p.head = []line{m.titleLine()}
		left--
	}
	p.head = append(p.head, problems...)
	if p.hasFooter {
		left--
	}
	// add adds lines, as many as leave so many others.
	add := func(lines []line, others int) {
		n := max(min(len(lines), left-others), 0)
		p.head = append(p.head, lines[:n]...)
		left -= n
	}
	if left >= 3 {
		add(m.bars(), 0)
	}
	add(m.charts(), 7)
	add(m.facts(), 11)
	if counters := m.counters(); left-len(counters) >= 12 && len(counters) > 0 {
		add(append([]line{nil}, counters...), 0)
	}
	if p.hasBlanks = left >= 10; p.hasBlanks {
		left -= 2
	}
	if p.hasSettingsTitle = left >= 4; p.hasSettingsTitle {
		left--
	}
	return m.divided(p, left)
}

// divided returns the plan with the rest of the lines divided between settings and events.
func (m model) divided(p plan, left int) plan {
	rows := m.rows()
	block := len(m.block(rows))
	want := max(len(rows)-1+block, 1)
	p.events = max(min(left/3, enoughEvents), left-want) // its title included
	p.events = max(min(p.events, left-block), 0)
	p.settings = left - p.events
	switch {
	case p.events >= 2:
		p.hasEventsTitle = true
		p.events--
	case len(m.shownEvents()) == 0: // a blank line needs a title
		p.events, p.settings = 0, left
	}
	return p
}

// screen renders everything in at most width columns and height lines.
func (m model) screen() string {
	if m.width < 1 || m.height < 1 {
		return ""
	}
	var lines []line
	if m.overlay != noOverlay {
		lines = m.overlaid()
	} else {
		lines = m.lines(m.plan())
	}
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = m.draw(l, m.width)
	}
	return strings.Join(out[:min(len(out), m.height)], "\n")
}

func (m model) lines(p plan) []line {
	lines := p.head
	for _, part := range [][]line{m.table(p), m.log(p)} {
		if p.hasBlanks {
			lines = append(lines, nil)
		}
		lines = append(lines, part...)
	}
	if p.hasFooter {
		lines = append(lines, m.footer(p))
	}
	return lines
}

// overlaid returns the lines of the text that covers the screen, and how to go on.
func (m model) overlaid() []line {
	all := m.overlayLines()
	page := m.overlayPage()
	lines := append([]line(nil), all[m.offset:min(m.offset+page, len(all))]...)
	for len(lines) < page {
		lines = append(lines, nil)
	}
	text := "Esc back"
	if len(all) > page {
		text += fmt.Sprintf("   lines %d to %d of %d: %s PgUp PgDn",
			m.offset+1, min(m.offset+page, len(all)), len(all), m.arrows())
	}
	return append(lines, line{{text, faint}})
}

// titleLine renders the host and the daemon, with the time of the status at the end.
func (m model) titleLine() line {
	d := m.status.Daemon
	text := strings.TrimSpace("ctkeeper " + d.Version)
	if m.host != "" {
		text = m.host + ": " + text
	}
	switch {
	case m.at.IsZero() && m.failed == nil:
		text += ", reading the status"
	case d.Running:
		text += fmt.Sprintf(", running for %s, mode %s, pid %d", spanText(m.at.Sub(d.Since)), d.Mode, d.PID)
	case d.Error != "":
		text += ", no answer; values are read from the kernel"
	case !m.lost.IsZero():
		text += ", stopped at " + m.clock(m.lost, time.TimeOnly) + "; values are read from the kernel"
	default:
		text += ", not running; values are read from the kernel"
	}
	if m.at.IsZero() {
		return plainLine(text)
	}
	end, colour := m.clock(m.at, time.TimeOnly), faint
	if m.paused {
		end, colour = "PAUSED since "+end, yellow
	}
	room := m.width - len(end) - 1
	return line{{m.pad(text, room), plain}, {" " + end, colour}}
}

// footer renders the filters, the keys, and which settings are on the screen.
func (m model) footer(p plan) line {
	if m.isTyping {
		return line{{"/" + m.filter + "_", bold}, {"   Enter keeps it, Esc clears it", faint}}
	}
	var l line
	if m.filter != "" {
		l = append(l, span{"filter: " + m.filter + "   ", yellow})
	}
	if m.kind != "" {
		l = append(l, span{"events: " + string(m.kind) + "   ", yellow})
	}
	text := "? help  q quit  / filter  e events  w problems  p pause"
	if m.paused {
		text = "? help  q quit  p continue"
	}
	if len(l) > 0 {
		text = "? help  q quit  Esc clear"
	}
	if n := len(m.rows()); p.settings > 0 && p.settings < n-1+len(m.block(m.rows())) {
		text += fmt.Sprintf("  %s setting %d of %d", m.arrows(), m.selected(m.rows())+1, n)
	}
	return append(l, span{text, faint})
}

func (m model) arrows() string {
	if m.ascii {
		return "up down"
	}
	return "↑ ↓"
}

// clock formats a time in the zone of the screen.
func (m model) clock(t time.Time, layout string) string {
	zone := cmp.Or(m.zone, time.Local)
	return t.In(zone).Format(layout)
}

// when formats a time of today, and adds the date to any other.
func (m model) when(t time.Time) string {
	layout := "01-02 15:04:05"
	if m.clock(t, time.DateOnly) == m.clock(m.at, time.DateOnly) {
		layout = time.TimeOnly
	}
	return m.clock(t, layout)
}

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

// plan is the number of lines of each part of the screen.
type plan struct {
	title, problems, bars, charts, facts, counters int
	settingsTitle, settings, eventsTitle, events   int
	// blanks is the number of empty lines between the parts.
	blanks int
	footer int
}

// enoughEvents is the number of lines of events beyond which settings come first.
const enoughEvents = 8

// problemLines returns how many lines the problems may have.
func (m model) problemLines() int { return max((m.height-2)/2, 1) }

// plan divides the lines: first what is wrong and how full the tables are, then the rest as far as there is room.
func (m model) plan() plan {
	var p plan
	left := m.height
	// take takes up to n lines where that leaves as many as keep.
	take := func(n, keep int) int {
		n = max(min(n, left-keep), 0)
		left -= n
		return n
	}
	p.problems = take(len(m.problems(m.problemLines())), 0)
	p.title = take(1, 0)
	p.footer = take(1, 2)
	if left >= 3 {
		p.bars = take(2, 0)
	}
	p.charts = take(len(m.charts()), 7)
	p.facts = take(len(m.facts()), 11)
	if counters := len(m.counters()); left-counters >= 12 {
		p.counters = take(counters, 0)
	}
	if left >= 10 {
		p.blanks = take(2, 0)
		if p.counters > 0 {
			p.blanks += take(1, 0)
		}
	}
	if left >= 4 {
		p.settingsTitle = take(1, 0)
	}
	rows := m.rows()
	block := len(m.block(rows))
	want := max(len(rows)-1+block, 1)
	p.events = max(min(left/3, enoughEvents), left-want) // its title included
	p.events = max(min(p.events, left-block), 0)
	switch {
	case p.events >= 2:
		p.eventsTitle = 1
		p.events--
	case len(m.shownEvents()) == 0: // a blank line needs a title
		p.events = 0
	}
	p.settings = left - p.events - p.eventsTitle
	return p
}

// screen renders everything in at most width columns and height lines.
func (m model) screen() string {
	if m.width < 1 || m.height < 1 {
		return ""
	}
	lines := m.lines(m.plan())
	if m.overlay != noOverlay {
		lines = m.overlaid()
	}
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = m.draw(l, m.width)
	}
	return strings.Join(out[:min(len(out), m.height)], "\n")
}

func (m model) lines(p plan) []line {
	var lines []line
	blanks := p.blanks
	blank := func() {
		if blanks > 0 {
			lines = append(lines, nil)
			blanks--
		}
	}
	if p.title > 0 {
		lines = append(lines, m.titleLine())
	}
	lines = append(lines, m.problems(m.problemLines())[:p.problems]...)
	lines = append(lines, m.bars()[:p.bars]...)
	lines = append(lines, m.charts()[:p.charts]...)
	lines = append(lines, m.facts()[:p.facts]...)
	if p.counters > 0 {
		blank()
		lines = append(lines, m.counters()...)
	}
	blank()
	lines = append(lines, m.table(p)...)
	blank()
	lines = append(lines, m.log(p)...)
	if p.footer > 0 {
		lines = append(lines, m.footer(p))
	}
	return lines
}

// overlaid returns the lines of the text that covers the screen, and how to go on.
func (m model) overlaid() []line {
	all := m.overlayLines()
	page := max(m.height-1, 1)
	lines := append([]line(nil), all[min(m.offset, len(all)):min(m.offset+page, len(all))]...)
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

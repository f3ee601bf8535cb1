package term

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/table"
)

// View draws the whole screen.
func (m model) View() tea.View {
	view := tea.NewView(m.screen())
	view.AltScreen = true
	return view
}

// plan is the number of lines of each part of the screen.
type plan struct {
	head, bars, sparks int
	// settings and events do not count their titles.
	settings, events int
	titles           bool
	footer           int
}

// enoughEvents is the number of lines of events beyond which settings come first.
const enoughEvents = 8

// plan divides the lines: the head and the bars first, then settings and events as they need, then the rest.
func (m model) plan() plan {
	p := plan{head: len(m.head())}
	left := m.height
	take := func(n, keep int) int {
		if left-n < keep {
			return 0
		}
		left -= n
		return n
	}
	p.head = min(p.head, max(left/2, 1))
	left -= p.head
	p.footer = take(1, 1)
	p.bars = take(2, 2)
	p.sparks = take(2, 6)
	p.titles = take(4, 6) > 0 // both, with a blank line before
	want := len(m.status.Settings)
	p.events = min(max(min(left/3, enoughEvents), left-want), left)
	if left < 3 {
		p.events = 0
	}
	if !p.titles {
		p.events = min(p.events, len(m.events)) // blank lines need a title
	}
	p.settings = max(left-p.events, 0)
	return p
}

// screen renders everything in at most width columns and height lines.
func (m model) screen() string {
	if m.width < 1 || m.height < 1 {
		return ""
	}
	p := m.plan()
	lines := m.head()[:p.head]
	if p.bars > 0 {
		lines = append(lines, m.bars()...)
	}
	if p.sparks > 0 {
		lines = append(lines, m.sparklines()...)
	}
	if p.titles {
		lines = append(lines, nil)
	}
	lines = append(lines, m.table(p)...)
	lines = append(lines, m.log(p)...)
	if p.footer > 0 {
		lines = append(lines, m.footer(p))
	}
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = m.draw(l, m.width)
	}
	return strings.Join(out[:min(len(out), m.height)], "\n")
}

// head renders the daemon, its configuration, the module, the guard and a summary of the settings.
func (m model) head() []line {
	lines := []line{m.daemon()}
	if m.at.IsZero() {
		return lines
	}
	for _, text := range m.status.Daemon.SourcesDown() {
		lines = append(lines, line{{"         " + text, yellow}})
	}
	lines = append(lines, m.config()...)
	module := m.status.Module
	text := fmt.Sprintf("module:  %s %s", module.Name, module.State)
	if loads := module.LoadsSeen(); loads != "" {
		text += ", " + loads
	}
	if n := m.status.Table.Buckets; n != nil {
		text += fmt.Sprintf("; %d buckets", *n)
	}
	lines = append(lines, plainLine(text))
	for _, p := range module.Parameters {
		if p.State == status.ParameterNeedsReload {
			text := fmt.Sprintf("reload:  %s is %s, wanted %s: needs a reload of %s",
				p.Name, p.Live, p.Want, module.Name)
			lines = append(lines, line{{text, yellow}})
		}
	}
	lines = append(lines, m.guard()...)
	if len(m.status.Settings) > 0 {
		lines = append(lines, m.summary())
	}
	return lines
}

// daemon renders the first line, with the time of the status at its end.
func (m model) daemon() line {
	d := m.status.Daemon
	state := span{"not running; values are read from the kernel", yellow}
	switch {
	case m.failed != nil:
		state = span{m.failed.Error(), red}
	case m.at.IsZero():
		state = span{"reading the status", plain}
	case d.Running:
		since := m.clock(d.Since, time.DateTime)
		state = span{fmt.Sprintf("running, mode %s, pid %d, since %s", d.Mode, d.PID, since), plain}
	case d.Error != "":
		state = span{d.Error, red}
	case !m.lost.IsZero():
		state = span{"stopped at " + m.clock(m.lost, time.TimeOnly) + "; values are read from the kernel", red}
	}
	l := line{{"daemon:  ", plain}, state}
	if m.at.IsZero() {
		return l
	}
	now := m.clock(m.at, time.TimeOnly)
	if pad := m.width - ansi.StringWidth("daemon:  "+m.clean(state.text)) - len(now); pad > 1 {
		l = append(l, span{strings.Repeat(" ", pad) + now, faint})
	}
	return l
}

// config renders the errors of a refused configuration.
func (m model) config() []line {
	c := m.status.Daemon.Config
	if c.OK {
		return nil
	}
	text := "config:  REFUSED, the last good one stays in effect:"
	if !m.status.Daemon.Running {
		text = "config:  REFUSED:"
	}
	lines := []line{{{text, red}}}
	const indent, maxErrors = 9, 4
	for e := range strings.SplitSeq(strings.TrimSpace(c.Error), "\n") {
		e = m.clean(strings.TrimPrefix(e, "/etc/ctkeeper/"))
		for part := range strings.SplitSeq(ansi.Wrap(e, max(m.width-indent, 10), ""), "\n") {
			lines = append(lines, plainLine(strings.Repeat(" ", indent)+part))
		}
	}
	if len(lines) > 1+maxErrors {
		lines = append(lines[:maxErrors], plainLine(strings.Repeat(" ", indent)+"and more: ctkeeper config check"))
	}
	return lines
}

// bars renders how full the tables are.
func (m model) bars() []line {
	t := m.status.Table
	connections := m.fill(table.Connections, t.Entries, t.Max)
	expectations := m.fill(table.Expectations, t.Expectations, t.ExpectMax)
	return []line{connections, append(expectations, span{helpers(t), plain})}
}

func (m model) fill(name string, n, limit *int64) line {
	t := m.status.Table
	text, share := status.Figure(n)+" of "+status.Figure(limit), int64(0)
	switch {
	case n == nil || limit == nil:
	case *limit <= 0:
		text = status.Figure(n) + ", no limit"
	default:
		percent, _ := status.Share(*n, *limit)
		text, share = text+", "+percent, *limit
	}
	condition := t.Conditions[name]
	colour := severityColour(status.TableSeverity(condition))
	if condition.Loss != table.NoLoss {
		text += ", " + string(condition.Loss)
	} else if forecast := t.Forecast(name); forecast != "" {
		text += ", " + forecast
	}
	count := int64(0)
	if n != nil {
		count = *n
	}
	full, empty := m.bar(count, share, min(m.width/4, 40))
	return line{{m.pad(name, label), plain}, {full, colour}, {empty, faint}, {" " + text, plain}}
}

// helpers renders the expectations by helper: ", sip 9, ftp 2".
func helpers(t status.Table) string {
	var text strings.Builder
	for _, name := range t.Helpers() {
		if n := t.ByHelper[name]; n > 0 && name != "" {
			fmt.Fprintf(&text, ", %s %d", name, n)
		}
	}
	return text.String()
}

// label is the width of the names of bars and sparklines.
const label = len("expectations ")

// sparklines renders the connections and the dropped packets of the last samples.
func (m model) sparklines() []line {
	width := max(min(m.width-label-len("  peak 1048576 in 100 s"), maxPoints), 8)
	points := lastOf(m.points, width)
	entries, dropped := make([]*int64, len(points)), make([]*int64, len(points))
	var sum int64
	for i, p := range points {
		if entries[i] = p.entries; p.lost != nil {
			dropped[i] = &p.lost.Dropped
			sum += p.lost.Dropped
		}
	}
	period := ""
	if last := len(points) - 1; last > 0 {
		period = fmt.Sprintf(" in %.0f s", points[last].at.Sub(points[0].at).Seconds())
	}
	top, count, colour := fmt.Sprintf("peak %d", peak(entries))+period, strconv.FormatInt(sum, 10)+period, plain
	if m.status.Table.Entries == nil {
		top = "?"
	}
	if len(m.status.Table.Counters) == 0 {
		count = "?"
	}
	if sum > 0 {
		colour = red
	}
	return []line{
		{{m.pad("entries", label), plain}, {m.pad(m.sparks(entries), width), plain}, {"  " + top, plain}},
		{{m.pad("drops", label), plain}, {m.pad(m.sparks(dropped), width), colour}, {"  " + count, colour}},
	}
}

// log renders the last events, the newest at the bottom.
func (m model) log(p plan) []line {
	layout := "01-02 15:04:05 "
	if m.width < 60 {
		layout = "15:04:05 "
	}
	var lines []line
	for i := len(m.events) - 1; i >= 0 && len(lines) < p.events; i-- {
		e := m.events[i]
		indent, colour := len(layout), severityColour(status.EventSeverity(e))
		text := ansi.Wrap(m.clean(e.Message), max(m.width-indent, 10), "")
		wrapped := strings.Split(text, "\n")
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
	if len(lines) == 0 && p.events > 0 && p.titles {
		lines = []line{{{"none yet", faint}}}
	}
	for len(lines) < p.events {
		lines = append(lines, nil)
	}
	if p.titles {
		lines = append([]line{nil, {{"EVENTS", bold}}}, lines...)
	}
	return lines
}

// footer renders the keys, and which settings are on the screen.
func (m model) footer(p plan) line {
	keys, arrows := "q quit", "↑ ↓"
	if m.ascii {
		arrows = "up down"
	}
	if n := len(m.status.Settings); p.settings > 0 && p.settings < n {
		keys += fmt.Sprintf("   settings %d to %d of %d: %s PgUp PgDn", m.top+1, min(m.top+p.settings, n), n, arrows)
	}
	return line{{keys, faint}}
}

// clock formats a time in the zone of the screen.
func (m model) clock(t time.Time, layout string) string {
	zone := cmp.Or(m.zone, time.Local)
	return t.In(zone).Format(layout)
}

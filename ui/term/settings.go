package term

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
)

// table renders the settings from m.top on, as many as the plan allows.
func (m model) table(p plan) []line {
	settings := m.status.Settings
	var lines []line
	columns, widths := m.grid(m.columns(), len(settings), m.width)
	if p.titles {
		lines = append(lines, m.title(columns, widths))
	}
	for row := m.top; row < min(m.top+p.settings, len(settings)); row++ {
		var l line
		for i, c := range columns {
			colour := plain
			if c.colour != nil {
				colour = c.colour(row)
			}
			l = append(l, span{m.pad(c.cell(row), widths[i]), colour}, span{"  ", plain})
		}
		lines = append(lines, l)
	}
	if len(settings) == 0 && p.settings > 0 && !m.at.IsZero() && m.status.Daemon.Config.OK {
		lines = append(lines, plainLine("No settings are configured."))
	}
	for len(lines) < p.settings {
		lines = append(lines, nil)
	}
	return lines
}

func (m model) title(columns []column, widths []int) line {
	var text strings.Builder
	for i, c := range columns {
		text.WriteString(m.pad(c.title, widths[i]) + "  ")
	}
	return line{{strings.TrimRight(text.String(), " "), bold}}
}

// columns returns the columns of ctkeeper status. The name and the state are the last to be dropped.
func (m model) columns() []column {
	all := m.status.Settings
	return []column{
		{title: "SETTING", min: 16, max: 28, rank: 6, cell: func(i int) string { return all[i].Name }},
		{title: "WANT", min: 8, max: 20, rank: 3, cell: func(i int) string {
			return all[i].Policy.Of(all[i].Want)
		}},
		{
			title: "LIVE", min: 6, max: 20, rank: 4,
			cell: func(i int) string { return cmp.Or(all[i].Live.String(), "-") },
		},
		{
			title: "STATE", min: 11, max: 11, rank: 5,
			cell:   func(i int) string { return string(all[i].State) },
			colour: func(i int) string { return m.stateColour(all[i].State) },
		},
		{title: "DRIFTS", min: 6, max: 6, rank: 2, cell: func(i int) string { return strconv.Itoa(all[i].Drifts) }},
		{title: "LAST DRIFT", min: 12, max: 200, rank: 1, cell: func(i int) string { return m.last(all[i]) }},
	}
}

// summary renders how many settings are in each state, those outside the screen included.
func (m model) summary() line {
	s := reconcile.Report{Settings: m.status.Settings}.Summary()
	l := line{{fmt.Sprintf("state:   %d of %d settings in sync", s.InSync, s.Settings), plain}}
	for _, count := range []struct {
		n     int
		state reconcile.State
	}{
		{s.Drifted, reconcile.Drifted}, {s.Contested, reconcile.Contested}, {s.Forbidden, reconcile.Forbidden},
		{s.Failed, reconcile.Failed}, {s.Pending, reconcile.Pending}, {s.Unsupported, reconcile.Unsupported},
	} {
		if count.n > 0 {
			text := fmt.Sprintf("%d %s", count.n, count.state)
			l = append(l, span{", ", plain}, span{text, m.stateColour(count.state)})
		}
	}
	return l
}

// last renders a setting's error or else its last drift. The writer comes first: 80 columns have room for little else.
func (m model) last(s reconcile.SettingStatus) string {
	switch d := s.LastDrift; {
	case s.Error != "":
		return s.Error
	case d == nil:
		return "-"
	default:
		text := fmt.Sprintf("%s %s %s, was %s", status.WriterName(*d), m.when(d.At), d.Cause, d.Found)
		return strings.TrimPrefix(text, " ")
	}
}

// stateColour returns the colour of a setting's state.
func (m model) stateColour(s reconcile.State) string {
	return severityColour(status.SettingSeverity(s, m.status.Daemon.Mode))
}

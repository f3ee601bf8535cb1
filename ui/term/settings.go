package term

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/ui/sgr"
)

// rows returns the settings that the filter selects, the worst first.
func (m model) rows() []reconcile.SettingStatus {
	ranks := []status.Severity{status.Critical, status.Warning, status.Notice, status.Good}
	rank := func(s reconcile.SettingStatus) int {
		return slices.Index(ranks, status.SettingSeverity(s.State, m.status.Daemon.Mode))
	}
	var rows []reconcile.SettingStatus
	for _, s := range m.status.Settings {
		if m.matches(s.Name) {
			rows = append(rows, s)
		}
	}
	slices.SortStableFunc(rows, func(a, b reconcile.SettingStatus) int { return rank(a) - rank(b) })
	return rows
}

// matches reports whether the filter selects a setting.
func (m model) matches(setting string) bool {
	return strings.Contains(strings.ToLower(setting), strings.ToLower(m.filter))
}

// selected returns the index of the selected setting, 0 where the filter has removed it.
func (m model) selected(rows []reconcile.SettingStatus) int {
	return max(slices.IndexFunc(rows, func(s reconcile.SettingStatus) bool { return s.Name == m.cursor }), 0)
}

// table renders the title and the settings from line m.top on, as many lines as the plan has.
func (m model) table(p plan) []line {
	rows := m.rows()
	columns, widths := m.grid(m.columns(rows), len(rows), m.width-len(mark))
	var lines []line
	for row := range rows {
		if row == m.selected(rows) {
			lines = append(lines, m.block(rows)...)
			lines[row] = append(line{{mark, bold}}, m.row(columns, widths, row)...)
			continue
		}
		lines = append(lines, append(plainLine(noMark), m.row(columns, widths, row)...))
	}
	if len(rows) == 0 && !m.at.IsZero() && m.status.Daemon.Config.OK {
		text := "No settings are configured."
		if m.filter != "" {
			text = "No setting has this in its name."
		}
		lines = append(lines, plainLine(text))
	}
	if m.within > 0 { // the setting's row stays
		row := m.selected(rows) + 1
		lines = slices.Delete(lines, row, row+m.within)
	}
	lines = lines[min(m.top, len(lines)):]
	lines = lines[:min(p.settings, len(lines))]
	for len(lines) < p.settings {
		lines = append(lines, nil)
	}
	if p.hasSettingsTitle {
		lines = append([]line{append(plainLine(noMark), m.title(columns, widths)...)}, lines...)
	}
	return lines
}

// mark stands before the selected setting.
const mark, noMark = "> ", "  "

func (m model) row(columns []column, widths []int, row int) line {
	var l line
	for i, c := range columns {
		colour := plain
		if c.colour != nil {
			colour = c.colour(row)
		}
		l = append(l, span{m.pad(c.cell(row), widths[i]), colour}, span{"  ", plain})
	}
	return l
}

func (m model) title(columns []column, widths []int) line {
	var text strings.Builder
	for i, c := range columns {
		text.WriteString(m.pad(c.title, widths[i]) + "  ")
	}
	return line{{strings.TrimRight(text.String(), " "), bold}}
}

// wide is the width from which on there are columns of memory and origin.
const wide = 110

// columns returns the columns of ctkeeper status. The name and the state are the last to be dropped.
func (m model) columns(all []reconcile.SettingStatus) []column {
	columns := []column{
		{title: "SETTING", min: 16, max: 28, rank: 8, cell: func(i int) string { return all[i].Name }},
		{title: "WANT", min: 8, max: 20, rank: 5, cell: func(i int) string {
			return all[i].Policy.Of(all[i].Want)
		}},
		{
			title: "LIVE", min: 6, max: 20, rank: 6,
			cell: func(i int) string { return cmp.Or(all[i].Live.String(), "-") },
		},
		{
			title: "STATE", min: 11, max: 11, rank: 7,
			cell:   func(i int) string { return string(all[i].State) },
			colour: func(i int) string { return m.stateColour(all[i].State) },
		},
		{title: "DRIFTS", min: 6, max: 6, rank: 4, cell: func(i int) string { return strconv.Itoa(all[i].Drifts) }},
	}
	if m.width >= wide {
		columns = append(columns,
			column{title: "MEMORY", min: 9, max: 10, rank: 3, cell: func(i int) string { return memory(all[i]) }},
			column{title: "FROM", min: 12, max: 22, rank: 2, cell: func(i int) string {
				return strings.TrimPrefix(all[i].Origin.String(), "/etc/ctkeeper/")
			}},
		)
	}
	return append(columns,
		column{title: "LAST DRIFT", min: 12, max: 200, rank: 1, cell: func(i int) string { return m.last(all[i]) }})
}

// memory renders what a want costs when the table is full.
func memory(s reconcile.SettingStatus) string {
	if s.MemoryBytes == 0 {
		return "-"
	}
	return config.FormatBytes(s.MemoryBytes)
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
	return sgr.Of(status.SettingSeverity(s, m.status.Daemon.Mode))
}

// isFolded reports whether the selected setting has one line. One that no key has selected is unfolded if something
// is wrong with it.
func (m model) isFolded(rows []reconcile.SettingStatus) bool {
	if m.cursor != "" || len(rows) == 0 {
		return m.folded
	}
	switch status.SettingSeverity(rows[0].State, m.status.Daemon.Mode) {
	case status.Critical, status.Warning:
		return false
	}
	return true
}

// block returns the lines of the selected setting: an empty one for its row, and below it, if it is unfolded, all
// that is known of it.
func (m model) block(rows []reconcile.SettingStatus) []line {
	if len(rows) == 0 {
		return nil
	}
	lines := []line{nil}
	if m.isFolded(rows) {
		return lines
	}
	const indent = "    "
	add := func(text, colour string) {
		for _, part := range m.wrap(text, m.width-len(indent)) {
			lines = append(lines, line{{indent, plain}, {part, colour}})
		}
	}
	s := rows[m.selected(rows)]
	if s.Error != "" {
		add(strings.ReplaceAll(strings.TrimSpace(s.Error), "\n", "; "), m.stateColour(s.State))
	}
	text := fmt.Sprintf("wanted %s (%s), is %s", s.Policy.Of(s.Want), s.Origin, cmp.Or(s.Live.String(), "unknown"))
	if !s.Since.IsZero() {
		text += fmt.Sprintf("; %s since %s (%s)", s.State, m.when(s.Since), spanText(m.at.Sub(s.Since)))
	}
	if s.MemoryBytes > 0 {
		text += "; " + memory(s) + " of memory when the table is full"
	}
	add(text, plain)
	if d := s.LastDrift; d != nil {
		add(m.driftText(s.Drifts, *d), plain)
	}
	return lines
}

// driftText renders the number of drifts, and all of the last one.
func (m model) driftText(count int, d reconcile.Drift) string {
	text := fmt.Sprintf("%d drifts, the last", count)
	if count == 1 {
		text = "1 drift,"
	}
	text += fmt.Sprintf(" at %s: it was %s (cause: %s)", m.when(d.At), d.Found, d.Cause)
	if d.By != nil {
		text += ", by " + d.By.String()
	}
	if d.RepairedIn > 0 {
		text += ", repaired in " + time.Duration(d.RepairedIn).Round(time.Microsecond).String()
	}
	return text
}

package term

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/ctkeeper/ctkeeper/status"
)

// facts renders how many settings are in effect, which the first line says if nothing is wrong, the guard and the
// module.
func (m model) facts() []line {
	if m.at.IsZero() {
		return nil
	}
	var lines []line
	if len(m.status.Problems) > 0 {
		text := status.SettingsText(m.status.Summary())
		lines = append(lines, line{{m.pad("settings", label), plain}, {text, plain}})
	}
	lines = append(lines, m.guard()...)
	module, t := m.status.Module, m.status.Table
	text := fmt.Sprintf("%s %s", module.Name, module.State)
	if loads := module.LoadsSeen(); loads != "" {
		text += " (" + loads + ")"
	}
	if t.Buckets != nil {
		text += fmt.Sprintf("; %d buckets", *t.Buckets)
	}
	if t.LoadFactor != nil {
		text += fmt.Sprintf(", %.2f connections each", *t.LoadFactor)
	}
	return append(lines, line{{m.pad("module", label), plain}, {text, plain}})
}

// counters renders the kernel's counters that are not zero: since the load of the module, and how fast they grow.
func (m model) counters() []line {
	const width = len("refused for a long chain") // the longest of status.Counters
	t := m.status.Table
	var lines []line
	for _, c := range status.Counters() {
		if n := t.Counters[c.Name]; n > 0 {
			rate := "-"
			if r := t.Rates[c.Name]; r > 0 {
				rate = fmt.Sprintf("%.1f/s", r)
			}
			text := fmt.Sprintf("%s %10d %10s  %s", m.pad(c.Word, width), n, rate, c.Meaning)
			lines = append(lines, plainLine(text))
		}
	}
	if len(lines) > 0 {
		title := fmt.Sprintf("%s %10s %10s", m.pad("COUNTER", width), "SINCE LOAD", "RATE")
		lines = append([]line{{{title, bold}}}, lines...)
	}
	return lines
}

// guard renders the configured guard in one line. ctkeeper status has the rest: what the guard can report, and how
// to get what is missing.
func (m model) guard() []line {
	g := m.status.Guard
	if !g.IsConfigured() {
		return nil
	}
	activity := span{m.status.GuardActivity(), plain}
	switch g.State {
	case status.GuardWatching:
		activity.text += without(g)
	case status.GuardLocked, status.GuardHolding:
		activity.text += ", " + m.blocked(g) + without(g)
	case status.GuardUnavailable:
		activity = span{"NOT AVAILABLE: " + g.Error, yellow}
	}
	return []line{{{m.pad("guard", label), plain}, activity}}
}

// blocked renders how many writes were refused or absorbed, and the last of them. A narrow screen cuts off only
// the writer's ids.
func (m model) blocked(g status.Guard) string {
	b, _ := g.Blocking()
	count, last := b.Count()
	if count == 0 {
		return "none " + b.Participle
	}
	return fmt.Sprintf("%d %s, %s %s to %s by %s",
		count, b.Participle, m.when(last.Last.At), last.Setting, cmp.Or(last.Last.Value, "-"), last.Last.By)
}

// without renders what the guard cannot do on this host.
func without(g status.Guard) string {
	var parts []string
	for _, m := range g.Missing {
		parts = append(parts, m.What)
	}
	if len(parts) == 0 {
		return ""
	}
	return "; without " + strings.Join(parts, ", ")
}

package term

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/ctkeeper/ctkeeper/status"
)

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
	return []line{{{"guard:   ", plain}, activity}}
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

// when formats a time of today, and adds the date to any other.
func (m model) when(t time.Time) string {
	layout := "01-02 15:04:05"
	if m.clock(t, time.DateOnly) == m.clock(m.at, time.DateOnly) {
		layout = time.TimeOnly
	}
	return m.clock(t, layout)
}

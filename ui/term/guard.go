package term

import (
	"fmt"
	"strings"
	"time"

	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
)

// guard is there when one is asked for. ctkeeper status has the rest: what the guard can name,
// and how to have what is missing.
func (m model) guard() []line {
	g := m.status.Guard
	if !g.IsConfigured() {
		return nil
	}
	said := span{m.status.GuardActivity(), plain}
	switch g.State {
	case status.GuardWatching:
		said.text += without(g)
	case status.GuardLocked:
		said.text += ", " + m.refusals(g) + without(g)
	case status.GuardUnavailable:
		said = span{"NOT AVAILABLE: " + g.Error, yellow}
	}
	return []line{{{"guard:   ", plain}, said}}
}

// refusals says how many writes were refused, and the last of them: what a narrow screen cuts
// off are the writer's numbers.
func (m model) refusals(g status.Guard) string {
	count, last := g.Refusals()
	if count == 0 {
		return "none refused"
	}
	return fmt.Sprintf("%d refused, %s %s to %s by %s", count, m.when(last.Last.At), last.Setting, orDash(last.Last.Value), last.Last.By)
}

// without is what the guard cannot do here.
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

// by is the name of who brought a drift, in front of it: with 80 columns there is room for
// little else.
func by(d *reconcile.Drift) string {
	if d.By == nil {
		return ""
	}
	name := d.By.Comm
	if name == "" {
		name = d.By.Unit
	}
	if name == "" {
		return ""
	}
	return name + " "
}

// when is a moment: of today by the time, of another day with the date.
func (m model) when(t time.Time) string {
	layout := "01-02 15:04:05"
	if m.clock(t, time.DateOnly) == m.clock(m.at, time.DateOnly) {
		layout = time.TimeOnly
	}
	return m.clock(t, layout)
}

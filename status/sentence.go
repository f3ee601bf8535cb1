package status

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/capability"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/sysfs"
	"github.com/ctkeeper/ctkeeper/table"
)

// Figure renders a number of the table, "?" where it is not known.
func Figure(n *int64) string {
	if n == nil {
		return "?"
	}
	return strconv.FormatInt(*n, 10)
}

// Unit returns the unit of a setting's values: "s", "bytes", "connections"; "" where they have none.
func Unit(setting string) string {
	switch setting {
	case sysfs.Max:
		return table.Connections
	case sysfs.Hashsize:
		return "buckets"
	case sysfs.ExpectMax:
		return table.Expectations
	}
	switch s := sysfs.Lookup(setting); {
	case s == nil:
	case s.Kind == sysfs.Seconds:
		return "s"
	case s.Kind == sysfs.Bytes:
		return "bytes"
	}
	return ""
}

// Fill renders how full a table is: "833 of 1000 connections (83 %)".
func Fill(what string, used, limit *int64) string {
	if limit != nil && *limit <= 0 {
		return fmt.Sprintf("%s %s, no limit", Figure(used), what)
	}
	text := fmt.Sprintf("%s of %s %s", Figure(used), Figure(limit), what)
	if used != nil && limit != nil {
		if share, ok := Share(*used, *limit); ok {
			text += " (" + share + ")"
		}
	}
	return text
}

// Forecast renders when a table will be full at its present rate, "full in about 6 min"; ""
// without a forecast.
func (t Table) Forecast(name string) string {
	return strings.TrimPrefix(forecastText(t.Conditions[name]), "; ")
}

// LossesSince returns what was lost since an older document; nil where the counters of
// either are not known. A counter that has fallen belongs to a module that was loaded again.
func (t Table) LossesSince(older Table) *table.Losses {
	if len(older.Counters) == 0 || len(t.Counters) == 0 {
		return nil
	}
	grown := map[string]uint64{}
	for name, n := range t.Counters {
		if n > older.Counters[name] {
			grown[name] = n - older.Counters[name]
		}
	}
	lost := table.LossesOf(grown)
	return &lost
}

// Helpers returns the helpers that created expectations, the one with the most first.
func (t Table) Helpers() []string {
	return slices.SortedFunc(maps.Keys(t.ByHelper), func(a, b string) int {
		return cmp.Or(cmp.Compare(t.ByHelper[b], t.ByHelper[a]), cmp.Compare(a, b))
	})
}

// WriterName renders who caused a drift in a word: the command, else the pod or unit, "" where neither is known.
// Candidates are joined by "or".
func WriterName(d reconcile.Drift) string {
	if d.By == nil {
		return ""
	}
	return cmp.Or(d.By.Comm, d.By.PodName, d.By.Unit, strings.Join(d.By.Candidates, " or "))
}

// SourcesDown renders the sources of events that do not work: "configuration changes are not watched: …".
func (d Daemon) SourcesDown() []string {
	what := map[string]string{
		SourceModule: "module loads", SourceSettings: "writes", SourceConfig: "configuration changes",
	}
	var out []string
	for _, s := range d.Sources {
		if s.OK {
			continue
		}
		text := cmp.Or(what[s.Name], s.Name) + " are not watched: " + s.Error
		if s.Hint != "" {
			text += "; " + s.Hint
		}
		out = append(out, text)
	}
	return out
}

// LoadsSeen renders how often the daemon saw the module loaded: "loaded once since", "" for never.
func (m Module) LoadsSeen() string {
	switch m.Loads {
	case 0:
		return ""
	case 1:
		return "loaded once since"
	}
	return fmt.Sprintf("loaded %d times since", m.Loads)
}

// GuardActivity renders what the configured guard does now, without what it cannot do.
func (d Document) GuardActivity() string {
	g := d.Guard
	switch {
	case g.State == GuardWatching && g.WantsBlock() && d.Daemon.Mode == reconcile.Observe:
		return "watching, blocks nothing in mode observe"
	case g.State == GuardWatching && g.WantsBlock():
		return "watching, blocks nothing"
	case g.State != GuardOff:
		return string(g.State)
	case !d.Daemon.Running:
		return g.Mode + " is configured; only a running daemon runs it"
	}
	return g.Mode + " is configured but not in effect"
}

// MergeMissing joins what is missing for the same reason.
func (g Guard) MergeMissing() []capability.Missing {
	var out []capability.Missing
	for _, m := range g.Missing {
		i := slices.IndexFunc(out, func(o capability.Missing) bool { return o.Why == m.Why && o.Hint == m.Hint })
		if i < 0 {
			out = append(out, m)
		} else {
			out[i].What += ", " + m.What
		}
	}
	return out
}

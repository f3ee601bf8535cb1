package page

import (
	"context"
	"os"
	"time"

	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/table"
)

// document is the page's data. It has the words, shares and severities of the package status, so that the page's
// scripts decide nothing.
type document struct {
	API status.API `json:"api"`
	// At is the time before the rest was read. A reader that passes it as since, less the time of a pass, misses
	// nothing.
	At     time.Time       `json:"at"`
	Status status.Document `json:"status"`
	// Host is the name of the host, empty where it is not known.
	Host string `json:"host"`
	// Metrics is the address of the metrics, relative to the page.
	Metrics string `json:"metrics"`
	// Severity is that of the worst problem.
	Severity status.Severity `json:"severity"`
	// Counters explains those of the kernel.
	Counters []status.Counter `json:"counters"`
	// Levels are those of a table, from the lowest; Tables is by name.
	Levels []level         `json:"levels"`
	Tables map[string]fill `json:"tables"`
	// States and Parameters have the severities of the states that settings and parameters have now.
	States     map[reconcile.State]status.Severity       `json:"states"`
	Parameters map[status.ParameterState]status.Severity `json:"parameters"`
	// SettingsText is the sentence on all settings.
	SettingsText string `json:"settings_text"`
	// Guard is what the guard does. NotWatched are the sources of events that do not work.
	Guard      guard    `json:"guard"`
	NotWatched []string `json:"not_watched"`
	// Units are those of the settings that have one, by setting.
	Units  map[string]string `json:"units"`
	Events []event           `json:"events"`
	Points []point           `json:"points"`
}

// level is a level of a table, which begins at a percentage of its limit.
type level struct {
	Name     table.Level     `json:"name"`
	Percent  int             `json:"percent"`
	Severity status.Severity `json:"severity"`
}

// fill is what the page shows of a table besides its figures.
type fill struct {
	Severity status.Severity `json:"severity"`
	// Share is empty for a table without a limit, Forecast for one that does not fill.
	Share    string `json:"share"`
	Forecast string `json:"forecast"`
}

type guard struct {
	Severity status.Severity `json:"severity"`
	Activity string          `json:"activity"`
}

type event struct {
	reconcile.Event
	Severity status.Severity `json:"severity"`
}

type point struct {
	table.Point
	// Share and ExpectShare are how full the tables were; empty where they had no limit.
	Share       string `json:"share"`
	ExpectShare string `json:"expect_share"`
}

// read reads the page's data from the source.
func read(ctx context.Context, source Source, since time.Time) (document, error) {
	answer := document{At: time.Now(), Events: []event{}, Points: []point{}} // never null
	d, err := source.Status(ctx)
	if err != nil {
		return answer, err
	}
	answer.describe(d)
	err = source.Events(ctx, since, false, func(e reconcile.Event) error {
		answer.Events = append(answer.Events, event{e, status.EventSeverity(e)})
		return nil
	})
	if err != nil {
		return answer, err
	}
	points, err := source.Points(ctx, since)
	for _, p := range points {
		share, _ := status.Share(p.Entries, p.Max)
		expectShare, _ := status.Share(p.Expectations, p.ExpectMax)
		answer.Points = append(answer.Points, point{p, share, expectShare})
	}
	return answer, err
}

// describe adds a status, and what the page shows of it in other words.
func (a *document) describe(d status.Document) {
	a.Status, a.Counters, a.Severity = d, status.Counters(), status.Good
	a.Host, _ = os.Hostname()
	if len(d.Problems) > 0 {
		a.Severity = d.Problems[0].Severity
	}
	for _, l := range []level{
		{Name: table.High, Percent: table.HighPercent}, {Name: table.Critical, Percent: table.CriticalPercent},
	} {
		l.Severity = status.TableSeverity(table.Condition{Level: l.Name})
		a.Levels = append(a.Levels, l)
	}
	a.Tables = map[string]fill{
		table.Connections:  fillOf(d.Table, table.Connections, d.Table.Entries, d.Table.Max),
		table.Expectations: fillOf(d.Table, table.Expectations, d.Table.Expectations, d.Table.ExpectMax),
	}
	a.States, a.Units = map[reconcile.State]status.Severity{}, map[string]string{}
	for _, s := range d.Settings {
		a.States[s.State] = status.SettingSeverity(s.State, d.Daemon.Mode)
		if unit := status.Unit(s.Name); unit != "" {
			a.Units[s.Name] = unit
		}
	}
	a.Guard, a.NotWatched = guard{status.Good, d.GuardActivity()}, d.Daemon.SourcesDown()
	if !d.IsGuardInEffect() {
		a.Guard.Severity = status.Warning
	}
	a.SettingsText = status.SettingsText(d.Summary())
	a.Parameters = map[status.ParameterState]status.Severity{}
	for _, p := range d.Module.Parameters {
		a.Parameters[p.State] = status.ParameterSeverity(p.State)
	}
}

func fillOf(t status.Table, name string, entries, limit *int64) fill {
	f := fill{Severity: status.TableSeverity(t.Conditions[name]), Forecast: t.Forecast(name)}
	if entries != nil && limit != nil {
		f.Share, _ = status.Share(*entries, *limit)
	}
	return f
}

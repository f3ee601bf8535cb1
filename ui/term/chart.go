package term

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/table"
	"github.com/ctkeeper/ctkeeper/ui/sgr"
)

// label is the width of the names of bars and charts.
const label = len("expectations ")

// bars renders how full the tables are.
func (m model) bars() []line {
	t := m.status.Table
	connections := m.fill(table.Connections, t.Entries, t.Max)
	expectations := m.fill(table.Expectations, t.Expectations, t.ExpectMax)
	return []line{connections, append(expectations, span{helpers(t), plain})}
}

func (m model) fill(name string, n, limit *int64) line {
	t := m.status.Table
	text := status.Figure(n) + " of " + status.Figure(limit)
	switch {
	case n == nil || limit == nil:
	case *limit <= 0:
		text = status.Figure(n) + ", no limit"
	default:
		percent, _ := status.Share(*n, *limit)
		text += ", " + percent
	}
	condition := t.Conditions[name]
	if condition.Level == table.High || condition.Level == table.Critical {
		text += ", " + string(condition.Level)
	}
	if condition.Loss != table.NoLoss {
		text += ", " + string(condition.Loss)
	}
	colour, severity := plain, status.TableSeverity(condition)
	if severity != status.Good {
		colour = sgr.Of(severity)
	}
	full, empty := m.bar(valueOf(n), valueOf(limit), min(m.width/4, 40))
	l := line{{m.pad(name, label), plain}, {full, sgr.Of(severity)}, {empty, faint}, {" " + text, colour}}
	if rate := t.Rates["entries"]; name == table.Connections && (rate >= 0.5 || rate <= -0.5) {
		l = append(l, span{fmt.Sprintf(", %+.0f/s", rate), plain})
	}
	if forecast := t.Forecast(name); forecast != "" {
		l = append(l, span{", " + forecast, plain})
	}
	return l
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

// spans are the times that the charts can show.
var spans = []time.Duration{5 * time.Minute, 15 * time.Minute, time.Hour, 6 * time.Hour}

// chartSpan returns the time that the charts show: the shortest that has all points, at most one hour, if no key has
// chosen another.
func (m model) chartSpan() time.Duration {
	if m.span != 0 || len(m.points) == 0 {
		return max(m.span, spans[0])
	}
	age := m.at.Sub(time.Unix(m.points[0].At, 0))
	for _, s := range spans[:2] {
		if age <= s {
			return s
		}
	}
	return spans[2]
}

// cell is one column of a chart.
type cell struct {
	isKnown bool
	// entries is the most of its time.
	entries int64
	// rates are losses a second, on average of its time, in the order of lossCounters.
	rates [kinds]float64
}

// apart is the time that two points may be apart; the daemon's are up to 15 s apart.
const apart = 20 * time.Second

// cells divides the last span before m.at into so many equal times. The times begin at multiples of their length, so
// that a column keeps its points until it leaves the screen. Entries are repeated until the next point, and losses
// belong to the time since the point before.
func (m model) cells(span time.Duration, width int) []cell {
	cells := make([]cell, width)
	covered := make([]float64, width)
	step := span / time.Duration(width)
	begin := m.at.Truncate(step).Add(step - span)
	column := func(at time.Time) int { return int(math.Floor(float64(at.Sub(begin)) / float64(step))) }
	var before time.Time
	for i, p := range m.points {
		at := time.Unix(p.At, 0)
		from := at.Add(-slot)
		if i > 0 && at.Sub(before) <= apart {
			from = before
		}
		until := m.at
		if i+1 < len(m.points) {
			until = time.Unix(m.points[i+1].At, 0).Add(-time.Nanosecond)
		}
		before = at
		if isUnknown(p) || column(until) < 0 {
			continue
		}
		for c := max(column(at), 0); c <= min(column(minTime(until, at.Add(apart))), width-1); c++ {
			cells[c].isKnown, cells[c].entries = true, max(cells[c].entries, p.Entries)
		}
		for c := max(column(from), 0); c <= min(column(at), width-1); c++ {
			start := begin.Add(time.Duration(c) * step)
			seconds := minTime(at, start.Add(step)).Sub(maxTime(from, start)).Seconds()
			if seconds <= 0 { // the point is at the beginning of the column
				continue
			}
			covered[c] += seconds
			share := seconds / at.Sub(from).Seconds()
			for kind, n := range losses(p) {
				cells[c].rates[kind] += float64(n) * share
			}
		}
	}
	for c := range cells {
		for kind := range kinds {
			cells[c].rates[kind] /= max(covered[c], 1) // a time between points has no losses
		}
	}
	return cells
}

// kinds is the number of kinds of loss.
const kinds = 4

// lossCounters returns the counters of losses.
func lossCounters() []status.Counter {
	return slices.DeleteFunc(status.Counters(), func(c status.Counter) bool { return !c.IsLoss })
}

// losses returns the losses of a point in the order of lossCounters.
func losses(p table.Point) [kinds]int64 {
	return [kinds]int64{p.Dropped, p.Evicted, p.Refused, p.LostRaces}
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// isUnknown reports whether the entries of a point could not be read.
func isUnknown(p table.Point) bool { return p.Entries == 0 && p.Max == 0 }

// chart is one chart: its figures by column, negative where they are not known, what stands at its end, and its
// colour.
type chart struct {
	name    string
	figures []float64
	top     float64
	text    string
	colour  string
}

// charts renders the connections and the losses of the chosen span. Charts without a loss come last.
func (m model) charts() []line {
	span := m.chartSpan()
	width := max(m.width-label-len("  0 to 1048576 (limit), 15 min"), m.width/3, 1)
	cells := m.cells(span, width)
	all := append([]chart{m.entriesChart(cells, span)}, m.lossCharts(cells, span)...)
	var lines []line
	for _, c := range all {
		lines = append(lines, line{
			{m.pad(c.name, label), plain},
			{m.pad(m.sparks(c.figures, c.top), width), c.colour},
			{"  " + c.text, c.colour},
		})
	}
	return lines
}

// scaleShare: a table that was filled to less than an eighth is one level high on the scale of its limit, and gets a
// scale of its own.
const scaleShare = 8

func (m model) entriesChart(cells []cell, span time.Duration) chart {
	c := chart{name: table.Connections}
	peak := int64(0)
	for _, cell := range cells {
		n := int64(-1)
		if cell.isKnown {
			n = cell.entries
		}
		peak = max(peak, n)
		c.figures = append(c.figures, float64(n))
	}
	top, note := valueOf(m.status.Table.Max), " (limit)"
	if top < peak || float64(peak)*scaleShare < float64(top) {
		top, note = roundScale(peak), ""
	}
	c.top, c.text = float64(top), fmt.Sprintf("0 to %d%s, %s", top, note, spanText(span))
	if peak == 0 && m.status.Table.Entries == nil {
		c.text = "?"
	}
	return c
}

// roundScale returns the end of a scale for figures up to peak: at least twice the peak, so that a table with much
// room does not look full.
func roundScale(peak int64) int64 {
	for scale := int64(10); scale <= 1e17; scale *= 10 {
		for _, top := range []int64{scale, 2 * scale, 5 * scale} {
			if float64(top) >= 2*float64(peak) {
				return top
			}
		}
	}
	return peak
}

// lossCharts returns the charts of the losses. Dropped packets and evicted connections have one always, the others
// where there are some. They have the colour of the table while it loses something.
func (m model) lossCharts(cells []cell, span time.Duration) []chart {
	if len(m.status.Table.Counters) == 0 {
		return nil
	}
	since := m.at.Add(-span).Unix()
	var charts []chart
	for kind, counter := range lossCounters() {
		name, reason, _ := strings.Cut(counter.Word, " for ") // refused for a long chain
		c, peak, sum := chart{name: name, text: "0"}, 0.0, int64(0)
		for _, cell := range cells {
			rate := -1.0
			if cell.isKnown {
				rate = cell.rates[kind]
			}
			peak = max(peak, rate)
			c.figures = append(c.figures, rate)
		}
		for _, p := range m.points {
			if p.At > since {
				sum += losses(p)[kind]
			}
		}
		switch {
		case sum > 0 && reason != "":
			c.text = fmt.Sprintf("%d for %s", sum, reason)
		case sum > 0:
			c.text = fmt.Sprintf("0 to %.3g/s, %d in all", peak, sum)
		}
		c.top = 0.95 * peak // an even rate does not flicker between the two highest marks
		if sum > 0 || len(charts) < 2 {
			charts = append(charts, c)
		}
	}
	if loss := m.status.Table.Conditions[table.Connections].Loss; loss != table.NoLoss {
		for i, lossOf := range []table.Loss{table.Dropping, table.Evicting} {
			if loss == lossOf {
				charts[i].colour = sgr.Of(status.Critical)
			}
		}
	}
	slices.SortStableFunc(charts, func(a, b chart) int { return cmp.Compare(isZero(a), isZero(b)) })
	return charts
}

// isZero returns 1 for a chart without a figure above zero, else 0: such charts come last.
func isZero(c chart) int {
	if c.top <= 0 {
		return 1
	}
	return 0
}

// bar draws how much of a limit is used, in width columns: all of them where the limit is reached, else one less at
// most, and at least one for anything above zero.
func (s style) bar(n, limit int64, width int) (full, empty string) {
	width = max(width, 0)
	cells := 0
	switch {
	case limit <= 0 || n <= 0:
	case n >= limit:
		cells = width
	default:
		cells = min(max(int(float64(width)*float64(n)/float64(limit)), 1), max(width-1, 0))
	}
	if s.ascii {
		return strings.Repeat("#", cells), strings.Repeat(".", width-cells)
	}
	return strings.Repeat("█", cells), strings.Repeat("░", width-cells)
}

// sparks draws figures from 0 to top, one column each. Anything above zero is drawn higher than zero, and only top as
// a full column; a negative figure is not known and blank.
func (s style) sparks(figures []float64, top float64) string {
	marks := []rune("▁▂▃▄▅▆▇█")
	if s.ascii {
		marks = []rune("_.:-=+*#")
	}
	var out strings.Builder
	for _, n := range figures {
		switch {
		case n < 0:
			out.WriteByte(' ')
		case n == 0 || top <= 0:
			out.WriteRune(marks[0])
		default:
			out.WriteRune(marks[1+int(float64(len(marks)-2)*min(n/top, 1))])
		}
	}
	return out.String()
}

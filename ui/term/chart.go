package term

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/table"
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
		colour = severityColour(severity)
	}
	full, empty := m.bar(valueOf(n), valueOf(limit), min(m.width/4, 40))
	l := line{{m.pad(name, label), plain}, {full, severityColour(severity)}, {empty, faint}, {" " + text, colour}}
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

// cell is one column of a chart: the most entries of its time, and all losses.
type cell struct {
	isKnown bool
	entries int64
	table.Losses
}

// cells divides the last span before m.at into so many equal times. The times begin at multiples of their length, so
// that a column keeps its points until it leaves the screen. A column without a point repeats the one before it for
// as long as points may be apart.
func (m model) cells(span time.Duration, width int) []cell {
	const apart = 20 * time.Second // the daemon's are up to 15 s apart
	cells := make([]cell, width)
	step := span / time.Duration(width)
	begin := m.at.Truncate(step).Add(step - span)
	last := -1
	for i, at := 0, begin; i < width; i++ {
		c := &cells[i]
		end := at.Add(step)
		for last+1 < len(m.points) && time.Unix(m.points[last+1].At, 0).Before(end) {
			last++
			p := m.points[last]
			if time.Unix(p.At, 0).Before(at) || isUnknown(p) { // or before the chart
				continue
			}
			c.isKnown, c.entries = true, max(c.entries, p.Entries)
			c.Dropped += p.Dropped
			c.Evicted += p.Evicted
			c.Refused += p.Refused
			c.LostRaces += p.LostRaces
		}
		if !c.isKnown && last >= 0 && at.Sub(time.Unix(m.points[last].At, 0)) < apart && !isUnknown(m.points[last]) {
			c.isKnown, c.entries = true, m.points[last].Entries
		}
		at = end
	}
	return cells
}

// isUnknown reports whether the entries of a point could not be read.
func isUnknown(p table.Point) bool { return p.Entries == 0 && p.Max == 0 }

// chart is one chart: its figures by column, what stands at its end, and its colour.
type chart struct {
	name    string
	figures []*int64
	top     int64
	text    string
	colour  string
}

// charts renders the connections and the losses of the last time, those of which there are some first.
func (m model) charts() []line {
	span := m.chartSpan()
	width := max(m.width-label-len("  0 to 1048576 (limit), 15 min"), m.width/3, 1)
	cells := m.cells(span, width)
	all := append([]chart{m.entriesChart(cells, span)}, m.lossCharts(cells, span)...)
	var lines []line
	for _, c := range all {
		lines = append(lines, line{
			{m.pad(c.name, label), plain}, {m.pad(m.sparks(c.figures, c.top), width), c.colour}, {"  " + c.text, c.colour},
		})
	}
	return lines
}

// scaleShare: a table that was filled to less than an eighth is one level high on the scale of its limit, and gets a
// scale of its own.
const scaleShare = 8

func (m model) entriesChart(cells []cell, span time.Duration) chart {
	c := chart{name: "entries"}
	peak := int64(0)
	for _, cell := range cells {
		var n *int64
		if cell.isKnown {
			n = &cell.entries
			peak = max(peak, *n)
		}
		c.figures = append(c.figures, n)
	}
	c.top = valueOf(m.status.Table.Max)
	c.text = fmt.Sprintf("0 to %d (limit), %s", c.top, spanText(span))
	if c.top < peak || float64(peak)*scaleShare < float64(c.top) {
		c.top = roundScale(peak)
		c.text = fmt.Sprintf("0 to %d, %s", c.top, spanText(span))
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
	var charts []chart
	values := map[string]func(*cell) *int64{
		"drop":          func(c *cell) *int64 { return &c.Dropped },
		"early_drop":    func(c *cell) *int64 { return &c.Evicted },
		"chainlength":   func(c *cell) *int64 { return &c.Refused },
		"insert_failed": func(c *cell) *int64 { return &c.LostRaces },
	}
	for _, counter := range status.Counters() {
		if !counter.IsLoss {
			continue
		}
		name, reason, _ := strings.Cut(counter.Word, " for ") // refused for a long chain
		c, sum := chart{name: name}, int64(0)
		for i := range cells {
			var n *int64
			if cells[i].isKnown {
				n = values[counter.Name](&cells[i])
				sum += *n
				c.top = max(c.top, *n)
			}
			c.figures = append(c.figures, n)
		}
		switch {
		case reason != "":
			c.text = fmt.Sprintf("%d for %s", sum, reason)
		case sum > 0:
			c.text = fmt.Sprintf("0 to %d, %d in all", c.top, sum)
		default:
			c.text = "0"
		}
		if sum > 0 || len(charts) < 2 {
			charts = append(charts, c)
		}
	}
	if loss := m.status.Table.Conditions[table.Connections].Loss; loss != table.NoLoss {
		for i, lossOf := range []table.Loss{table.Dropping, table.Evicting} {
			if loss == lossOf {
				charts[i].colour = severityColour(status.Critical)
			}
		}
	}
	slices.SortStableFunc(charts, func(a, b chart) int { return int(min(b.top, 1) - min(a.top, 1)) })
	return charts
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
// a full column; an unknown figure is blank.
func (s style) sparks(figures []*int64, top int64) string {
	marks := []rune("▁▂▃▄▅▆▇█")
	if s.ascii {
		marks = []rune("_.:-=+*#")
	}
	var out strings.Builder
	for _, n := range figures {
		switch {
		case n == nil:
			out.WriteByte(' ')
		case *n <= 0 || top <= 0:
			out.WriteRune(marks[0])
		default:
			out.WriteRune(marks[1+int(float64(len(marks)-2)*min(float64(*n)/float64(top), 1))])
		}
	}
	return out.String()
}

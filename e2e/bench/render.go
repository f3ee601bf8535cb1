package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

const (
	ours = "ctkeeper"
	bare = "bare C"
)

// quantiles are the columns of a table. A quantile of few values says nothing, and is left out.
var quantiles = []struct {
	name  string
	at    float64
	least int // values
}{{"p50", 0.5, 1}, {"p90", 0.9, 10}, {"p99", 0.99, 100}, {"p99.9", 0.999, 1000}}

// aims are the most that a quantile of ctkeeper should take, as a ratio to the minimal C program, by way of pinning.
var aims = map[string]map[string]float64{
	"same": {"p50": 1.5, "p99": 1}, "other": {"p50": 1.5, "p99": 1}, unpinned: {"p50": 1.5, "p99": 1},
	"busy": {"p50": 3},
}

// loadAims are the same for a load of the module, as a ratio to the udev rule. A resize takes as long for both.
var loadAims = map[string]map[string]float64{"no resize": {"p50": 0.02}}

// A grid is a table in Markdown.
type grid struct{ text strings.Builder }

func (g *grid) title(format string, args ...any) {
	fmt.Fprintf(&g.text, "\n### "+format+"\n\n", args...)
}

func (g *grid) head(cells ...string) {
	g.row(cells...)
	g.row(strings.Split(strings.Repeat("---,", len(cells)-1)+"---", ",")...)
}

func (g *grid) row(cells ...string) { g.text.WriteString("| " + strings.Join(cells, " | ") + " |\n") }

// tables returns the tables of all that was measured.
func (r *report) tables() string {
	g := &grid{}
	h := r.Host
	fmt.Fprintf(&g.text, "Linux %s, %d × %s, %s; ctkeeper %s; %s.\n",
		h.Kernel, h.Processors, h.Processor, h.Place, h.Version, h.Date.Format("2006-01-02 15:04 MST"))
	r.quantileTables(g, "drift", "total", "Foreign write: from its begin until seen right", aims)
	r.quantileTables(g, "drift", "repair", "Foreign write: from its return until seen right", nil)
	r.quantileTables(g, "settings", "total", "The same by number of settings", nil)
	r.passTable(g)
	r.stormTable(g)
	r.quantileTables(g, "load", "total", "From the load of the module until all values are right", loadAims)
	r.quantileTables(g, "kube-proxy", "total",
		"How long the writes of kube-proxy's start were seen by a program that looks every 0.1 ms (0: not seen)", nil)
	r.restTable(g)
	r.ownersText(g)
	r.quantileTables(g, "start", "total", "From the start to READY", nil)
	r.sizeTable(g)
	return g.text.String()
}

// ownersText says what became of foreign writes to the values of programs that do not keep them.
func (r *report) ownersText(g *grid) {
	for _, program := range r.programs("owners") {
		wrong := r.values("owners", "", program, "still wrong after")[0]
		what := "was repaired within that time"
		if wrong > 0 {
			what = "was still there after " + duration(wrong)
		}
		fmt.Fprintf(&g.text, "\nA foreign value in place of one that %s had set %s.\n", program, what)
	}
}

// sizeAim is the most that the daemon's program should have, in MiB.
const sizeAim = 14

func (r *report) sizeTable(g *grid) {
	programs := r.programs("size")
	if len(programs) == 0 {
		return
	}
	g.title("Programs")
	g.head("program", "MiB")
	for _, program := range programs {
		text := digits(r.values("size", "", program, "size")[0])
		if program == ours {
			text += aimText(sizeAim)
		}
		g.row(program, text)
	}
}

// passTable adds the median time of a pass in which nothing differs, by number of settings.
func (r *report) passTable(g *grid) {
	cases := r.cases("pass")
	if len(cases) == 0 {
		return
	}
	g.title("A pass in which nothing differs")
	g.head("settings", "time")
	for _, c := range cases {
		g.row(c, duration(quantile(r.values("pass", c, ours, "total"), 0.5)))
	}
}

// stormAim is the most that ctkeeper should cost in a storm, in percent of a core.
const stormAim = 10

// stormTable adds what each rate of foreign writes costs, and when the value is right after the last of them.
func (r *report) stormTable(g *grid) {
	cases := r.cases("storm")
	if len(cases) == 0 {
		return
	}
	g.title("A writer that does not stop")
	g.head("writes per s", "program", "of them done", "CPU, % of a core", "right after the last")
	for _, c := range cases {
		for _, program := range r.programs("storm") {
			value := func(measure string) float64 { return r.values("storm", c, program, measure)[0] }
			cpu := digits(value("CPU"))
			if program == ours {
				cpu += aimText(stormAim)
			}
			g.row(c, program, digits(value("writes")), cpu, duration(value("right after")))
		}
	}
}

// restTable adds what each program costs at rest: a row for each program.
func (r *report) restTable(g *grid) {
	for _, c := range r.cases("rest") {
		g.title("At rest, over %s", c)
		measures := r.collect("rest", func(s series) string { return s.Measure })
		g.head(append([]string{"program"}, measures...)...)
		for _, program := range r.programs("rest") {
			cells := []string{program}
			for _, measure := range measures {
				text := digits(r.values("rest", c, program, measure)[0]) + " " + r.unit("rest", measure)
				cells = append(cells, text+aimText(restAims[program][measure]))
			}
			g.row(cells...)
		}
	}
}

// restAims are the most that ctkeeper should cost at rest.
var restAims = map[string]map[string]float64{
	ours:      {"resident": 12, "wake-ups": 0.5, "CPU": 0.01},
	withGuard: {"resident": 14},
}

func aimText(limit float64) string {
	if limit == 0 {
		return ""
	}
	return fmt.Sprintf(", aim %g", limit)
}

// quantileTables adds a table of the quantiles of one measure: a row for each program, and for each way of pinning
// the ratio of ctkeeper to the program that was measured in turn with it.
func (r *report) quantileTables(
	g *grid, section, measure, title string, aims map[string]map[string]float64,
) {
	cases := r.cases(section)
	if len(cases) == 0 {
		return
	}
	g.title("%s", title)
	g.head("case", "program", "n", "p50", "p90", "p99", "p99.9")
	for _, c := range cases {
		for _, program := range r.programs(section) {
			values := r.values(section, c, program, measure)
			if len(values) == 0 {
				continue
			}
			cells := []string{c, program, strconv.Itoa(len(values))}
			for _, q := range quantiles {
				cells = append(cells, cellOf(len(values) >= q.least, func() string {
					return duration(quantile(values, q.at))
				}))
			}
			g.row(cells...)
		}
		r.ratioRow(g, section, c, measure, aims[c])
	}
}

// ratioRow adds the ratios of ctkeeper to the other program, and the aim. The least and the most over the rounds stand
// beside a quantile for which a round has enough values.
func (r *report) ratioRow(g *grid, section, c, measure string, aim map[string]float64) {
	us, them := r.values(section, c, ours, measure), []float64(nil)
	for _, program := range r.programs(section) {
		if values := r.values(section, c, program, measure); program != ours && len(values) == len(us) {
			them = values
			break
		}
	}
	if len(us) == 0 || len(them) == 0 {
		return
	}
	cells := []string{c, "**ratio**", ""}
	for _, q := range quantiles {
		cells = append(cells, cellOf(len(us) >= q.least, func() string {
			all, least, most := ratio(us, them, q.at)
			text := "**" + digits(all) + "**"
			if len(us)/rounds >= q.least {
				text += " (" + digits(least) + " to " + digits(most) + ")"
			}
			return text + aimText(aim[q.name])
		}))
	}
	g.row(cells...)
}

// cellOf returns a cell that has a value, or one that says that there is none.
func cellOf(has bool, value func() string) string {
	if has {
		return value()
	}
	return "–"
}

// duration prints nanoseconds with three digits.
func duration(ns float64) string {
	for _, unit := range []struct {
		name string
		ns   float64
	}{{"s", 1e9}, {"ms", 1e6}} {
		if ns >= unit.ns {
			return digits(ns/unit.ns) + " " + unit.name
		}
	}
	return digits(ns/1e3) + " µs"
}

// digits prints a number with three significant digits, and no exponent.
func digits(x float64) string {
	if x == 0 {
		return "0"
	}
	behind := max(0, 2-int(math.Floor(math.Log10(math.Abs(x)))))
	return strconv.FormatFloat(x, 'f', behind, 64)
}

package text

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/table"
)

// width is the width of a terminal, and label that of the names of sections.
const (
	width = 80
	label = 9
)

// table writes how full the tables are, and the counters; nothing where there is no table.
func (p Printer) table(w io.Writer, t status.Table) {
	if t.Entries == nil {
		return
	}
	var out strings.Builder
	section := func(name, text string) { printSection(&out, name, wrap(text)) }
	text := status.Fill("connections", t.Entries, t.Max) + level(t, table.Connections)
	if t.Buckets != nil {
		text += ", " + status.Figure(t.Buckets) + " buckets"
	}
	if t.LoadFactor != nil {
		text += fmt.Sprintf(", load %.1f", *t.LoadFactor)
	}
	section("table:", text+trend(t))
	text = status.Fill("expectations", t.Expectations, t.ExpectMax) + level(t, table.Expectations)
	if helpers := helperCounts(t); helpers != "" {
		text += ": " + helpers
	}
	section("", text)
	section("lost:", strings.Join(counts(t, true), ", "))
	section("counts:", strings.Join(counts(t, false), ", "))
	section("kernel:", kernelMessages(t.KernelMessages))
	text = out.String()
	if p.Colour { // after the wrapping, so that colours take no width
		colours := strings.NewReplacer(", high", ", "+yellow+"high"+reset, ", critical", ", "+red+"critical"+reset)
		text = colours.Replace(text)
	}
	_, _ = io.WriteString(w, text)
}

// level renders the condition of a table, if it is not normal.
func level(t status.Table, name string) string {
	c, text := t.Conditions[name], ""
	if c.Level != "" && c.Level != table.Normal {
		text = ", " + string(c.Level)
	}
	if c.Loss != table.NoLoss {
		text += ", " + string(c.Loss)
	}
	return text
}

// trend renders the rate of the connections, and the forecast.
func trend(t status.Table) string {
	var parts []string
	if rate := t.Rates["entries"]; math.Abs(rate) >= 0.5 {
		parts = append(parts, fmt.Sprintf("%+.0f/s", rate))
	}
	if forecast := t.Forecast(table.Connections); forecast != "" {
		parts = append(parts, forecast)
	}
	if len(parts) == 0 {
		return ""
	}
	return "; " + strings.Join(parts, ", ")
}

// helperCounts renders the expectations by helper: "9 sip, 2 ftp".
func helperCounts(t status.Table) string {
	var parts []string
	for _, name := range t.Helpers() {
		parts = append(parts, fmt.Sprintf("%d %s", t.ByHelper[name], cmp.Or(name, "without helper")))
	}
	return strings.Join(parts, ", ")
}

// counts renders the counters that are not zero, of losses or of the rest: "12 dropped (3/s)".
func counts(t status.Table, losses bool) []string {
	var out []string
	for _, c := range status.Counters() {
		n := t.Counters[c.Name]
		if n == 0 || c.IsLoss != losses {
			continue
		}
		text := fmt.Sprintf("%d %s", n, c.Word)
		switch rate := t.Rates[c.Name]; {
		case rate >= 9.95:
			text += fmt.Sprintf(" (%.0f/s)", rate)
		case rate >= 0.05:
			text += fmt.Sprintf(" (%.1f/s)", rate)
		}
		out = append(out, text)
	}
	return out
}

// kernelMessages renders how often the kernel logged that a table is full.
func kernelMessages(messages map[string]int64) string {
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(messages)) {
		if n := messages[kind]; n > 0 {
			parts = append(parts, fmt.Sprintf("logged %q %d times", strings.ReplaceAll(kind, "-", " "), n))
		}
	}
	return strings.Join(parts, ", ")
}

// printSection writes lines with the name of the section before the first.
func printSection(w io.Writer, name string, lines []string) {
	for _, line := range lines {
		printLine(w, "%-8s %s", name, line)
		name = ""
	}
}

// wrap breaks a text after commas, semicolons and colons into lines of a section. An empty text has no line.
func wrap(text string) []string {
	var lines []string
	line := ""
	marked := strings.NewReplacer(", ", ",\n", "; ", ";\n", ": ", ":\n").Replace(text)
	for part := range strings.SplitSeq(marked, "\n") {
		if line != "" && len(line)+1+len(part) > width-label {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimLeft(line+" "+part, " ")
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

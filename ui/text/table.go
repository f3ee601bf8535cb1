package text

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/table"
)

// width is that of a terminal that nobody made wider.
const width = 80

// oddities returns counters of which a healthy host has few, as the kernel's file calls them.
func oddities() []string {
	return []string{"search_restart", "clashres", "chainlength", "icmp_error", "expect_new", "expect_create", "expect_delete"}
}

// table says how the tables stand; nothing where there are none.
func (p Printer) table(w io.Writer, t status.Table) {
	if t.Entries == nil {
		return
	}
	var out strings.Builder
	say := func(what, text string) {
		for _, line := range wrap(text) {
			sayLine(&out, "%-8s %s", what, line)
			what = ""
		}
	}
	text := status.Fill("connections", t.Entries, t.Max) + level(t, table.Connections)
	if t.Buckets != nil {
		text += ", " + status.Figure(t.Buckets) + " buckets"
	}
	if t.LoadFactor != nil {
		text += fmt.Sprintf(", load %.1f", *t.LoadFactor)
	}
	say("table:", text+trend(t))
	text = status.Fill("expectations", t.Expectations, t.ExpectMax) + level(t, table.Expectations)
	for i, helper := range helpers(t.ByHelper) {
		if i == 0 {
			text += ":"
		}
		text += " " + helper
	}
	say("", text)
	say("drops:", strings.Join(counts(t, table.DropCounters()), ", "))
	say("counts:", strings.Join(counts(t, oddities()), ", "))
	say("kernel:", kernelSaid(t.KernelMessages))
	text = out.String()
	if p.Colour { // after the wrapping, so that colours take no width
		text = strings.NewReplacer(", high", ", "+yellow+"high"+reset, ", critical", ", "+red+"critical"+reset).Replace(text)
	}
	_, _ = io.WriteString(w, text)
}

// level says how pressing a table is, where it is.
func level(t status.Table, name string) string {
	text := ""
	if l := t.Levels[name]; l != "" && l != table.Calm {
		text = ", " + string(l)
	}
	if t.Dropping[name] {
		text += ", dropping"
	}
	return text
}

// trend says where the connections are going.
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

// helpers are "9 sip", the most first.
func helpers(byHelper map[string]int64) []string {
	names := slices.SortedFunc(maps.Keys(byHelper), func(a, b string) int {
		if byHelper[a] != byHelper[b] {
			return int(min(max(byHelper[b]-byHelper[a], -1), 1))
		}
		return strings.Compare(a, b)
	})
	for i, name := range names {
		text := name
		if text == "" {
			text = "without helper"
		}
		names[i] = strconv.FormatInt(byHelper[name], 10) + " " + text
		if i < len(names)-1 {
			names[i] += ","
		}
	}
	return names
}

// counts are "12 drop (3/s)", without those that are zero.
func counts(t status.Table, names []string) []string {
	var out []string
	for _, name := range names {
		n := t.Counters[name]
		if n == 0 {
			continue
		}
		text := fmt.Sprintf("%d %s", n, name)
		switch rate := t.Rates[name]; {
		case rate >= 9.95:
			text += fmt.Sprintf(" (%.0f/s)", rate)
		case rate >= 0.05:
			text += fmt.Sprintf(" (%.1f/s)", rate)
		}
		out = append(out, text)
	}
	return out
}

// kernelSaid is what the kernel's log has of full tables.
func kernelSaid(messages map[string]int64) string {
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(messages)) {
		if n := messages[kind]; n > 0 {
			parts = append(parts, fmt.Sprintf("said %q %d times", strings.ReplaceAll(kind, "-", " "), n))
		}
	}
	return strings.Join(parts, ", ")
}

// wrap breaks a text behind its commas and the like, so that it fits beside the names of the
// lines; an empty one has no line.
func wrap(text string) []string {
	var lines []string
	line := ""
	marked := strings.NewReplacer(", ", ",\n", "; ", ";\n", ": ", ":\n").Replace(text)
	for part := range strings.SplitSeq(marked, "\n") {
		if line != "" && len(line)+1+len(part) > width-9 {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimLeft(line+" "+part, " ")
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

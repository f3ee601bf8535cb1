package text

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/table"
)

// width is that of a terminal that nobody made wider.
const width = 80

// losses are the counters of what is lost for want of room, and oddities others that a healthy
// host has few of, as the kernel's file calls them.
func losses() []string { return []string{"drop", "early_drop", "insert_failed"} }
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
	text := fill("connections", t.Entries, t.Max) + level(t, table.Connections)
	if t.Buckets != nil {
		text += ", " + figure(t.Buckets) + " buckets"
	}
	if t.LoadFactor != nil {
		text += fmt.Sprintf(", load %.1f", *t.LoadFactor)
	}
	say("table:", text+trend(t))
	text = fill("expectations", t.Expectations, t.ExpectMax) + level(t, table.Expectations)
	for i, helper := range helpers(t.ByHelper) {
		if i == 0 {
			text += ":"
		}
		text += " " + helper
	}
	say("", text)
	say("drops:", strings.Join(counts(t, losses()), ", "))
	say("counts:", strings.Join(counts(t, oddities()), ", "))
	say("kernel:", kernelSaid(t.KernelMessages))
	text = out.String()
	if p.Colour { // after the wrapping, so that colours take no width
		text = strings.NewReplacer(", high", ", "+yellow+"high"+reset, ", critical", ", "+red+"critical"+reset).Replace(text)
	}
	_, _ = io.WriteString(w, text)
}

// fill is "833 of 1000 connections (83 %)".
func fill(what string, n, limit *int64) string {
	text := fmt.Sprintf("%s of %s %s", figure(n), figure(limit), what)
	if limit != nil && *limit <= 0 {
		return fmt.Sprintf("%s %s, no limit", figure(n), what)
	}
	if n != nil && limit != nil {
		text += fmt.Sprintf(" (%d %%)", int(math.Floor(float64(*n)*100/float64(*limit))))
	}
	return text
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
	if seconds := t.FullInSeconds[table.Connections]; seconds > 0 {
		parts = append(parts, "full in about "+about(time.Duration(seconds*float64(time.Second))))
	}
	if len(parts) == 0 {
		return ""
	}
	return "; " + strings.Join(parts, ", ")
}

// about is a time to come as a person would say it.
func about(d time.Duration) string {
	switch {
	case d < 100*time.Second:
		return fmt.Sprintf("%d s", max(1, int(d.Round(time.Second).Seconds())))
	case d < 100*time.Minute:
		return fmt.Sprintf("%d min", int(d.Round(time.Minute).Minutes()))
	}
	return fmt.Sprintf("%d h", int(d.Round(time.Hour).Hours()))
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

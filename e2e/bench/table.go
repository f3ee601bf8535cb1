package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A table is the text of the results: figures of ctkeeper beside those of another program, and their ratio.
type table struct{ text strings.Builder }

func (t *table) title(what, ours, theirs string) {
	ratio := ""
	if theirs != "" {
		ratio = "ratio"
	}
	fmt.Fprintf(&t.text, "\n%s\n", what)
	t.row("", ours, theirs, ratio)
}

func (t *table) row(what, ours, theirs, ratio string) {
	line := fmt.Sprintf("  %-18s %16s %16s %10s", what, ours, theirs, ratio)
	t.text.WriteString(strings.TrimRight(line, " ") + "\n")
}

// quantiles adds quantiles of both series, and the ratio of ours to theirs.
func (t *table) quantiles(ours, theirs []time.Duration) {
	for _, q := range []struct {
		name string
		at   float64
	}{{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"max", 1}} {
		a := quantile(ours, q.at)
		if len(theirs) == 0 {
			t.row(q.name, round(a), "", "")
			continue
		}
		b := quantile(theirs, q.at)
		t.row(q.name, round(a), round(b), fmt.Sprintf("%.3f", float64(a)/float64(b)))
	}
}

func quantile(times []time.Duration, at float64) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[min(len(sorted)-1, int(at*float64(len(sorted))))]
}

func round(d time.Duration) string { return d.Round(100 * time.Nanosecond).String() }

// String returns the table as it is printed.
func (t *table) String() string { return t.text.String() }

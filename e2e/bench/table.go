package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A table is the figures, each beside what it is measured against.
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
	t.text.WriteString(strings.TrimRight(fmt.Sprintf("  %-18s %16s %16s %10s", what, ours, theirs, ratio), " ") + "\n")
}

// quantiles prints both series' spread, and how many times theirs ours is.
func (t *table) quantiles(ours, theirs []time.Duration) {
	for _, q := range []struct {
		name string
		at   float64
	}{{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"max", 1}} {
		a := quantile(ours, q.at)
		if len(theirs) == 0 {
			t.row(q.name, rounded(a), "", "")
			continue
		}
		b := quantile(theirs, q.at)
		t.row(q.name, rounded(a), rounded(b), fmt.Sprintf("%.3f", float64(a)/float64(b)))
	}
}

func quantile(times []time.Duration, at float64) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[min(len(sorted)-1, int(at*float64(len(sorted))))]
}

func rounded(d time.Duration) string { return d.Round(100 * time.Nanosecond).String() }

// String gives the table as it is printed.
func (t *table) String() string { return t.text.String() }

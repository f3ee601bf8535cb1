package main

import (
	"slices"
	"time"
)

// A report is what one run of this command measured.
type report struct {
	Host   host
	Series []series
	Failed []string // what could not be measured, and why
}

// host says on what a report was measured.
type host struct {
	Kernel, Processor, Place, Version string
	Processors                        int
	Date                              time.Time
}

// A series is the values of one measure, in the order in which they were measured.
type series struct {
	Section string // "drift"
	Case    string // "same processor"
	Program string // "ctkeeper"
	Measure string // "total"
	Unit    string
	Values  []float64
}

// units of values.
const (
	nanoseconds = "ns"
	mebibytes   = "MiB"
	percent     = "% of a core"
	perSecond   = "per s"
)

// add appends values to the series of s, which begins with the first of them.
func (r *report) add(s series) {
	for i := range r.Series {
		old := &r.Series[i]
		if old.Section == s.Section && old.Case == s.Case && old.Program == s.Program && old.Measure == s.Measure {
			old.Values = append(old.Values, s.Values...)
			return
		}
	}
	r.Series = append(r.Series, s)
}

// values returns the values of a series, none if it was not measured.
func (r *report) values(section, caseName, program, measure string) []float64 {
	for _, s := range r.Series {
		if s.Section == section && s.Case == caseName && s.Program == program && s.Measure == measure {
			return s.Values
		}
	}
	return nil
}

// unit returns the unit of a measure of a section.
func (r *report) unit(section, measure string) string {
	i := slices.IndexFunc(r.Series, func(s series) bool { return s.Section == section && s.Measure == measure })
	return r.Series[i].Unit
}

// cases returns the cases of a section, and programs their programs, each in the order in which they were measured.
func (r *report) cases(section string) []string {
	return r.collect(section, func(s series) string { return s.Case })
}

func (r *report) programs(section string) []string {
	return r.collect(section, func(s series) string { return s.Program })
}

func (r *report) collect(section string, part func(series) string) (parts []string) {
	for _, s := range r.Series {
		if s.Section == section && !slices.Contains(parts, part(s)) {
			parts = append(parts, part(s))
		}
	}
	return parts
}

// quantile returns the smallest value that at least the share `at` of all values does not exceed (the nearest rank).
func quantile(values []float64, at float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	rank := int(at * float64(len(sorted)))
	if float64(rank) == at*float64(len(sorted)) && rank > 0 {
		rank--
	}
	return sorted[min(rank, len(sorted)-1)]
}

// rounds is into how many parts a series is split, to see by how much a ratio varies during a run.
const rounds = 5

// ratio compares a quantile of two series that were measured in turn: over all, and the least and the most of it over
// the rounds.
func ratio(ours, theirs []float64, at float64) (all, least, most float64) {
	all = quantile(ours, at) / quantile(theirs, at)
	least, most = all, all
	n := min(len(ours), len(theirs)) / rounds
	for i := range rounds {
		if n == 0 {
			break
		}
		one := quantile(ours[i*n:(i+1)*n], at) / quantile(theirs[i*n:(i+1)*n], at)
		least, most = min(least, one), max(most, one)
	}
	return all, least, most
}

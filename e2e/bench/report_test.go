package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func numbers(from, to int) (all []float64) {
	for i := from; i <= to; i++ {
		all = append(all, float64(i))
	}
	return all
}

func TestQuantileIsTheNearestRank(t *testing.T) {
	for at, want := range map[float64]float64{0.5: 50, 0.9: 90, 0.99: 99, 0.999: 100, 1: 100} {
		if got := quantile(numbers(1, 100), at); got != want {
			t.Errorf("quantile %g of 1 to 100 = %g, want %g", at, got, want)
		}
	}
	if got := quantile([]float64{3, 1, 2}, 0.5); got != 2 {
		t.Errorf("median of 3, 1, 2 = %g", got)
	}
}

func TestRatioVariesOverTheRounds(t *testing.T) {
	theirs := slowly(10, 10, 10, 10, 10)
	all, least, most := ratio(slowly(10, 20, 20, 20, 40), theirs, 0.5)
	if diff := cmp.Diff([]float64{2, 1, 4}, []float64{all, least, most}); diff != "" {
		t.Errorf("ratio, least, most (-want +got):\n%s", diff)
	}
}

// slowly returns for each value of a round a series of 4 equal values.
func slowly(perRound ...float64) (all []float64) {
	for _, value := range perRound {
		all = append(all, value, value, value, value)
	}
	return all
}

func TestTables(t *testing.T) {
	r := &report{Host: host{Kernel: "6.1.0"}}
	for _, s := range []series{
		{Section: "drift", Case: "same", Program: bare, Measure: "total", Values: numbers(100_001, 100_100)},
		{Section: "drift", Case: "same", Program: ours, Measure: "total", Values: numbers(200_002, 200_050)},
		{Section: "drift", Case: "same", Program: ours, Measure: "total", Values: numbers(200_051, 200_101)},
		{Section: "drift", Case: unpinned, Program: "loop", Measure: "total", Values: []float64{5e8}},
	} {
		r.add(s)
	}
	got := r.tables()
	for _, want := range []string{
		"| same | bare C | 100 | 100 µs | 100 µs | 100 µs | – |",
		"| same | ctkeeper | 100 | 200 µs | 200 µs | 200 µs | – |",
		"| same | **ratio** |  | **2.00** (2.00 to 2.00), aim 1.5 | **2.00** (2.00 to 2.00) | **2.00**, aim 1 | – |",
		"| unpinned | loop | 1 | 500 ms | – | – | – |",
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("the tables lack %q:\n%s", want, got)
		}
	}
	if strings.Contains(got, "| unpinned | **ratio**") {
		t.Errorf("a ratio without ctkeeper:\n%s", got)
	}
}

func TestDurations(t *testing.T) {
	for ns, want := range map[float64]string{
		850: "0.850 µs", 12_345: "12.3 µs", 999_400: "999 µs", 4_321_000: "4.32 ms", 1.5e9: "1.50 s", 0: "0 µs",
	} {
		if got := duration(ns); got != want {
			t.Errorf("duration(%g) = %q, want %q", ns, got, want)
		}
	}
}

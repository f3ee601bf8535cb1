package main

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDocument writes the document from two reports, each of which has something in every section.
func TestDocument(t *testing.T) {
	r := report{Host: host{Kernel: "6.1.0", Place: "a test"}}
	add := func(section, of, program, measure string, values ...float64) {
		r.add(series{Section: section, Case: of, Program: program, Measure: measure, Unit: mebibytes, Values: values})
	}
	add("drift", "same", bare, "total", numbers(50_000, 50_999)...)
	add("drift", "same", ours, "total", numbers(60_000, 60_999)...)
	add("storm", "1000", ours, "writes", 998)
	add("storm", "1000", ours, "CPU", 4)
	add("storm", "1000", ours, "right after", 2e9)
	add("pass", "40", ours, "total", 30_000, 37_000, 90_000)
	add("rest", "1m0s", withGuard, "resident", 13)
	add("load", "no resize", "udev rule", "total", 2e8, 3e8)
	add("load", "no resize", ours, "total", 2e6, 3e6)
	add("owners", "", "TuneD", "still wrong after", 6e10)
	add("size", "", ours, "size", 13.5)
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "report.json")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := writeDocument(dir, []string{file, file}); err != nil {
		t.Fatal(err)
	}
	document := read(filepath.Join(dir, "performance.md"))
	for _, want := range []string{
		"Linux 6.1.0",
		"| same | bare C | 1000 | 50.5 µs | 50.9 µs | 51.0 µs | 51.0 µs |",
		"**1.20** (1.20 to 1.20), aim 1.5",
		"| 40 | 37.0 µs |",
		"| 1000 | ctkeeper | 998 | 4.00, aim 10 | 2.00 s |", "| ctkeeper with guard | 13.0 MiB, aim 14 |",
		"| no resize | **ratio** |  | **0.0100**, aim 0.02 | – | – | – |",
		"A foreign value in place of one that TuneD had set was still there after 60.0 s.",
		"| ctkeeper | 13.5, aim 14 |",
	} {
		if strings.Count(document, want) != 2 {
			t.Errorf("the document does not have %q twice", want)
		}
	}
	for name, lines := range map[string]int{"here": 2, "load": 2} {
		image := read(filepath.Join(dir, "performance", name+".svg"))
		if got := strings.Count(image, "<polyline"); got != lines {
			t.Errorf("%s.svg has %d lines, want %d", name, got, lines)
		}
		mustBeXML(t, name, image)
	}
	if t.Failed() {
		t.Log(document)
	}
}

func mustBeXML(t *testing.T, name, text string) {
	t.Helper()
	for in := xml.NewDecoder(strings.NewReader(text)); ; {
		if _, err := in.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
}

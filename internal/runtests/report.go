package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// event is a line of go test -json (go doc test2json, and for builds go help buildjson).
type event struct {
	Action, Package, ImportPath, Test, Output string
}

// report prints the results of packages as go test does without -v, and collects the skipped tests.
type report struct {
	out     io.Writer
	skipped []skip
}

// skip is one reason, and the tests that were skipped for it.
type skip struct {
	reason string
	tests  []string
}

// tests are the tests of one package that have not passed, in the order of their start.
type tests struct {
	names  []string
	output map[string]string // by test; "" has the package's own lines
}

// read reads the events of one go test. A line that is no event is printed as it is.
func (r *report) read(in io.Reader) error {
	running := map[string]*tests{}
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			var e event
			if json.Unmarshal([]byte(line), &e) != nil {
				_, _ = io.WriteString(r.out, line)
			} else {
				r.add(running, e)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("cannot read the results: %w", err)
		}
	}
}

func (r *report) add(running map[string]*tests, e event) {
	t := running[e.Package]
	if t == nil {
		t = &tests{output: map[string]string{}}
		running[e.Package] = t
	}
	switch {
	case e.Action == "build-output":
		_, _ = io.WriteString(r.out, e.Output)
	case e.Action == "output":
		isQuiet := e.Output == "PASS\n" || strings.HasPrefix(e.Output, "?   ") || strings.HasPrefix(e.Output, "=== ")
		if !isQuiet {
			t.output[e.Test] += e.Output
		}
	case e.Action == "run":
		t.names = append(t.names, e.Test)
	case e.Test == "" && (e.Action == "fail" || e.Action == "pass"):
		// All that has not passed, if any: a panic ends no test.
		for _, name := range append(t.names, "") {
			_, _ = io.WriteString(r.out, t.output[name])
		}
	case e.Action == "skip" && e.Test != "":
		r.addSkip(path.Base(e.Package)+"."+e.Test, t.output[e.Test])
		t.drop(e.Test)
	case e.Action == "pass" && e.Test != "":
		t.drop(e.Test)
	}
}

func (t *tests) drop(name string) {
	t.names = slices.DeleteFunc(t.names, func(other string) bool { return other == name })
	delete(t.output, name)
}

// addSkip adds a skipped test. Its output is its reason, behind the place of the call, and a line about the skip.
func (r *report) addSkip(test, output string) {
	reason := "no reason"
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "--- ") || strings.HasPrefix(line, "=== ") {
			continue
		}
		if _, text, found := strings.Cut(line, ".go:"); found {
			_, line, _ = strings.Cut(text, ": ")
		}
		reason = line
		if !strings.HasSuffix(reason, "in its own namespaces:") { // then the reason is in a later line
			break
		}
	}
	at := slices.IndexFunc(r.skipped, func(s skip) bool { return s.reason == reason })
	if at < 0 {
		r.skipped, at = append(r.skipped, skip{reason: reason}), len(r.skipped)
	}
	r.skipped[at].tests = append(r.skipped[at].tests, test)
}

// printSkipped lists the reasons with their tests.
func (r *report) printSkipped() {
	const shown = 4
	count := 0
	for _, s := range r.skipped {
		count += len(s.tests)
	}
	if count == 0 {
		return
	}
	_, _ = fmt.Fprintf(r.out, "\nSkipped, %d in all:\n", count)
	slices.SortFunc(r.skipped, func(a, b skip) int { return len(b.tests) - len(a.tests) })
	for _, s := range r.skipped {
		names := strings.Join(s.tests[:min(shown, len(s.tests))], ", ")
		if more := len(s.tests) - shown; more > 0 {
			names += fmt.Sprintf(" and %d more", more)
		}
		_, _ = fmt.Fprintf(r.out, "  %s\n      %s\n", s.reason, names)
	}
}

package rig

import (
	"bufio"
	"io"
	"strings"
)

// mark begins the lines that a test binary prints about its tests with -test.v=test2json. Output of the tests does
// not contain it.
const mark = "\x16"

// An Outcome is the result of one test in the guest.
type Outcome struct {
	Name   string
	Result string // PASS, FAIL, SKIP
	Took   string // as the guest measured it
	Log    []string
}

// ReadOutcomes reads a test binary's output to its end. It calls done for every top-level test as it ends, and other
// for every line outside of a test.
func ReadOutcomes(r io.Reader, done func(Outcome), other func(line string)) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 4<<20)
	running := ""
	var log []string
	for lines.Scan() {
		before, event, isEvent := strings.Cut(strings.TrimRight(lines.Text(), "\r"), mark)
		if before != "" {
			if running == "" {
				other(before)
			} else {
				log = append(log, before)
			}
		}
		if !isEvent {
			continue
		}
		switch word, rest := splitEvent(event); word {
		case "=== RUN":
			if !strings.Contains(rest, "/") {
				running, log = rest, nil
			}
		case "--- PASS:", "--- FAIL:", "--- SKIP:":
			name, took, _ := strings.Cut(rest, " ")
			if !strings.Contains(name, "/") {
				done(Outcome{name, strings.Trim(word, "- :"), strings.Trim(took, "()"), log})
				running, log = "", nil
			} else {
				log = append(log, event)
			}
		}
	}
	if running != "" {
		other("unfinished: " + running)
		for _, l := range log {
			other(l)
		}
	}
	return lines.Err()
}

// splitEvent splits "--- PASS: TestX (0.1s)" behind its second word.
func splitEvent(event string) (word, rest string) {
	first, tail, _ := strings.Cut(strings.TrimSpace(event), " ")
	second, rest, _ := strings.Cut(tail, " ")
	return first + " " + second, strings.TrimSpace(rest)
}

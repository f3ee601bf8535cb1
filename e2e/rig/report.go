package rig

import (
	"bufio"
	"io"
	"strings"
)

// mark starts the lines by which a test binary run with -test.v=test2json speaks
// about itself; no output of a test itself can be taken for one.
const mark = "\x16"

// An Outcome is how one test in the guest ended.
type Outcome struct {
	Name   string
	Result string // PASS, FAIL, SKIP
	Took   string // as the guest measured it
	Log    []string
}

// Outcomes reads a test binary's output to its end and calls done for every top
// level test as it ends, and other for every line outside of a test.
func Outcomes(r io.Reader, done func(Outcome), other func(line string)) error {
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
		switch word, rest := verb(event); word {
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

// verb parts "--- PASS: TestX (0.1s)" after its second word.
func verb(event string) (word, rest string) {
	first, tail, _ := strings.Cut(strings.TrimSpace(event), " ")
	second, rest, _ := strings.Cut(tail, " ")
	return first + " " + second, strings.TrimSpace(rest)
}

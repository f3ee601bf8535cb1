package doctor

import (
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

// Severity says what a finding means for the host.
type Severity string

// The severities. Error and Warning are problems: with one of them a host is not
// healthy.
const (
	// Error: something is not as wanted now, or will not be after the next boot.
	Error Severity = "error"
	// Warning: something will bite, or may.
	Warning Severity = "warning"
	// Info: worth knowing, nothing to do.
	Info Severity = "info"
)

// Evidence is one thing that was seen.
type Evidence struct {
	// Place is a file of the host, with the line where it has one; /dev/kmsg,
	// "journal" or a command ("nft -j list ruleset") for what is no file.
	tree.Place
	// Text is the line, the value read, or the kernel's message.
	Text string `json:"text"`
}

// seen makes evidence of what a place says.
func seen(file string, line int, text string) Evidence {
	return Evidence{tree.Place{File: file, Line: line}, text}
}

// Finding is one thing that is wrong or worth knowing.
type Finding struct {
	// ID names the kind: "module-blacklisted". It is stable, for programs.
	ID       string   `json:"id"`
	Severity Severity `json:"severity"`
	// Summary is one sentence for people, without a full stop.
	Summary  string     `json:"summary"`
	Evidence []Evidence `json:"evidence"`
	// Fix are the shell commands that mend it, to be run as root on that host, in
	// order. They are complete: nothing in them is to be filled in. People see them
	// indented, so that none has a here-document.
	Fix []string `json:"fix"`
	// Note says what to know before, or what to do where no command can.
	Note string `json:"note,omitempty"`
}

// Report is what was found.
type Report struct {
	Root         string `json:"root"`
	Distribution string `json:"distribution"`
	// Kernel is the running kernel's release, or "".
	Kernel string `json:"kernel"`
	// Healthy is true where no finding is an error or a warning.
	Healthy  bool      `json:"healthy"`
	Findings []Finding `json:"findings"`
	// NotLooked says what could not be looked at, and why.
	NotLooked []Evidence `json:"not_looked"`
}

// together asks checks that see one thing from several sides: problems of which the
// same commands rid are one finding, by the name of the worst, with all evidence. Of
// equally bad ones the first check's is it.
func together(checks ...check) check {
	return func(h *Host) []Finding {
		var found []Finding
		for _, ask := range checks {
			for _, f := range ask(h) {
				i := slices.IndexFunc(found, func(g Finding) bool {
					return g.Severity != Info && f.Severity != Info && slices.Equal(g.Fix, f.Fix)
				})
				if i < 0 {
					found = append(found, f)
					continue
				}
				found[i] = join(found[i], f)
			}
		}
		return found
	}
}

// join makes one finding of two. A note that says all of the other's, and more, stays.
func join(a, b Finding) Finding {
	if rank(b.Severity) < rank(a.Severity) {
		a, b = b, a
	}
	a.Evidence = slices.Clone(a.Evidence)
	for _, e := range b.Evidence {
		if !slices.Contains(a.Evidence, e) {
			a.Evidence = append(a.Evidence, e)
		}
	}
	if strings.Contains(b.Note, a.Note) {
		a.Note = b.Note
	}
	return a
}

// rank orders severities, the worst first.
func rank(s Severity) int { return slices.Index([]Severity{Error, Warning, Info}, s) }

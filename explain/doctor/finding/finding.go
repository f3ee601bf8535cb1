package finding

import (
	"slices"

	"github.com/ctkeeper/ctkeeper/host/change"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

// Severity is what a finding means for the host. A host with an error or a warning is not healthy.
type Severity string

const (
	// Error means: something is not as wanted now, or will not be after the next boot.
	Error Severity = "error"
	// Warning means: something can go wrong.
	Warning Severity = "warning"
	// Info means: worth knowing, nothing to do.
	Info Severity = "info"
)

// Rank orders severities: the worst has the lowest rank.
func (s Severity) Rank() int { return slices.Index([]Severity{Error, Warning, Info}, s) }

// Evidence is one fact that a finding rests on.
type Evidence struct {
	// Place is a file of the host, with the line where there is one. What is no file has a name:
	// /dev/kmsg, "journal", or a command ("nft -j list ruleset").
	tree.Place
	// Text is the line, the value, or the kernel's message.
	Text string `json:"text"`
}

// Seen returns evidence from a file; line is 0 where it has none.
func Seen(file string, line int, text string) Evidence {
	return Evidence{tree.Place{File: file, Line: line}, text}
}

// At returns evidence from a place.
func At(place tree.Place, text string) Evidence { return Evidence{place, text} }

// Step is one step of a fix.
type Step = change.Step

// Finding is one problem, or one fact worth knowing.
type Finding struct {
	// ID is the kind of the finding, from the catalogue: "module-blacklisted". Programs rely on it.
	ID       string   `json:"id"`
	Severity Severity `json:"severity"`
	// Summary is one sentence without a full stop.
	Summary  string     `json:"summary"`
	Evidence []Evidence `json:"evidence"`
	// Fix holds the steps that fix it, in order, for root on that host. They are complete: there is nothing
	// to fill in.
	Fix []Step `json:"fix"`
	// Note is what to know before the fix, or what to do where no steps can fix it.
	Note string `json:"note,omitempty"`
}

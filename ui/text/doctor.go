package text

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/ctkeeper/ctkeeper/explain/doctor"
	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
)

// longest is how much of a host's text people are shown in one line, in runes; a
// document has all of it.
const longest = 300

// Doctor writes a report.
func (p Printer) Doctor(r doctor.Report) error {
	return p.Document(r, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "%s, %s%s\n\n", clean(orElse(r.Distribution, "an unknown distribution")), runs(r), below(r.Root)) // a buffer takes everything
		for _, f := range r.Findings {
			p.finding(w, f)
		}
		if len(r.NotLooked) > 0 {
			_, _ = fmt.Fprintln(w, "Could not be looked at:")
			evidence(w, r.NotLooked)
			_, _ = fmt.Fprintln(w)
		}
		if r.Root != "/" && slices.ContainsFunc(r.Findings, func(f finding.Finding) bool { return len(f.Fix) > 0 }) {
			_, _ = fmt.Fprint(w, "The commands are for that host, not for this one.\n\n")
		}
		_, _ = fmt.Fprintln(w, p.tally(r))
	})
}

func runs(r doctor.Report) string {
	if r.Kernel == "" {
		return "no running kernel"
	}
	return "kernel " + clean(r.Kernel)
}

// below says which host it is, where it is not this one.
func below(root string) string {
	if root == "/" {
		return ""
	}
	return ", below " + visible(root)
}

// finding is a paragraph. Its commands stand alone in their lines, whole, so that
// they can be copied.
func (p Printer) finding(w io.Writer, f finding.Finding) {
	word := p.colour(strings.ToUpper(string(f.Severity)), colourOf(f.Severity))
	_, _ = fmt.Fprintf(w, "%s %s: %s\n", word, f.ID, clean(f.Summary)) // a buffer takes everything
	evidence(w, f.Evidence)
	if len(f.Fix) > 0 {
		_, _ = fmt.Fprintln(w, "  fix:")
	}
	for _, command := range f.Fix {
		for line := range strings.SplitSeq(command, "\n") {
			_, _ = fmt.Fprintln(w, "    "+visible(line))
		}
	}
	if f.Note != "" {
		_, _ = fmt.Fprintln(w, "  note: "+visible(f.Note))
	}
	_, _ = fmt.Fprintln(w)
}

func evidence(w io.Writer, seen []finding.Evidence) {
	for _, e := range seen {
		_, _ = fmt.Fprintf(w, "  %s: %s\n", clean(e.Place.String()), clean(e.Text)) // a buffer takes everything
	}
}

// tally is the last line: what it all comes to.
func (p Printer) tally(r doctor.Report) string {
	if r.Healthy {
		return p.colour("healthy", green) + ": nothing hinders nf_conntrack or its settings here"
	}
	count := map[finding.Severity]int{}
	for _, f := range r.Findings {
		count[f.Severity]++
	}
	var parts []string
	for _, severity := range []finding.Severity{finding.Error, finding.Warning} {
		switch n := count[severity]; n {
		case 0:
		case 1:
			parts = append(parts, "1 "+string(severity))
		default:
			parts = append(parts, fmt.Sprintf("%d %ss", n, severity))
		}
	}
	return strings.Join(parts, ", ")
}

func colourOf(s finding.Severity) string {
	switch s {
	case finding.Error:
		return red
	case finding.Warning:
		return yellow
	default:
		return ""
	}
}

func (p Printer) colour(word, colour string) string {
	if !p.Colour || colour == "" {
		return word
	}
	return colour + word + reset
}

// clean makes one short, visible line of a host's text, which may hold anything.
func clean(text string) string {
	text = strings.ReplaceAll(strings.TrimSpace(text), "\n", "; ")
	if runes := []rune(text); len(runes) > longest {
		text = string(runes[:longest]) + "…"
	}
	return visible(text)
}

// visible leaves nothing in a line that a terminal would obey.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case !unicode.IsPrint(r) || r == unicode.ReplacementChar:
			return '?'
		}
		return r
	}, text)
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

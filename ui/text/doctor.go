package text

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor"
	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/host/change"
	"github.com/ctkeeper/ctkeeper/host/printable"
	"github.com/ctkeeper/ctkeeper/status"
)

// maxEvidence is the length of a line of a host's text in the table, in runes. The documents have all of it.
const maxEvidence = 300

// maxLines is how many lines of evidence a finding has in the table.
const maxLines = 20

// Doctor writes a report.
func (p Printer) Doctor(r doctor.Report) error {
	document := struct {
		API status.API `json:"api"`
		doctor.Report
	}{Report: r}
	return p.Document(document, func(w io.Writer) {
		distribution := clean(cmp.Or(r.Distribution, "unknown distribution"))
		_, _ = fmt.Fprintf(w, "%s, %s%s\n\n", distribution, kernel(r), root(r.Root))
		for _, f := range r.Findings {
			p.finding(w, f)
		}
		if len(r.NotRead) > 0 {
			_, _ = fmt.Fprintln(w, "Could not be read:")
			evidence(w, r.NotRead)
			_, _ = fmt.Fprintln(w)
		}
		var steps []finding.Step
		for _, f := range r.Findings {
			steps = append(steps, f.Fix...)
		}
		if slices.ContainsFunc(steps, func(s finding.Step) bool { return s.Edit != nil && !s.Edit.IsComment() }) {
			_, _ = fmt.Fprint(w, "Apply the diffs with patch -p1 -d /, or edit the lines by hand.\n\n")
		}
		if r.Root != "/" && len(steps) > 0 {
			_, _ = fmt.Fprint(w, "Run the commands on that host, not on this one.\n\n")
		}
		_, _ = fmt.Fprintln(w, p.tally(r))
	})
}

func kernel(r doctor.Report) string {
	if r.Kernel == "" {
		return "no running kernel"
	}
	return "kernel " + clean(r.Kernel)
}

// root names the root directory of another host; it is empty for this one.
func root(dir string) string {
	if dir == "/" {
		return ""
	}
	return ", root " + printable.Line(dir)
}

// finding writes one paragraph. A command is one line and is never cut, so that it can be copied.
func (p Printer) finding(w io.Writer, f finding.Finding) {
	word := p.colour(strings.ToUpper(string(f.Severity)), severityColour(f.Severity))
	_, _ = fmt.Fprintf(w, "%s %s: %s\n", word, f.ID, clean(f.Summary))
	evidence(w, f.Evidence)
	if len(f.Fix) > 0 {
		_, _ = fmt.Fprintln(w, "  fix:")
	}
	for _, line := range change.Render(f.Fix, "    ") {
		words := strings.Split(line, "\t") // a diff keeps its tabs
		for i, word := range words {
			words[i] = printable.Line(word)
		}
		_, _ = fmt.Fprintln(w, strings.Join(words, "\t"))
	}
	if f.Note != "" {
		_, _ = fmt.Fprintln(w, "  note: "+printable.Line(f.Note))
	}
	_, _ = fmt.Fprintln(w)
}

// evidence writes the first lines of a list. The documents have all of it.
func evidence(w io.Writer, list []finding.Evidence) {
	for i, e := range list {
		if i == maxLines {
			_, _ = fmt.Fprintf(w, "  … and %d more, which --output json lists\n", len(list)-maxLines)
			return
		}
		_, _ = fmt.Fprintf(w, "  %s: %s\n", clean(e.Place.String()), clean(e.Text))
	}
}

// tally renders the last line: healthy, or the number of errors and warnings.
func (p Printer) tally(r doctor.Report) string {
	if r.Healthy {
		return p.colour("healthy", green) + ": no problem found with nf_conntrack or its settings"
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

func severityColour(s finding.Severity) string {
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

// clean returns a host's text as one short line that is safe for a terminal.
func clean(text string) string {
	text = strings.ReplaceAll(strings.TrimSpace(text), "\n", "; ")
	if runes := []rune(text); len(runes) > maxEvidence {
		text = string(runes[:maxEvidence]) + "…"
	}
	return printable.Line(text)
}

package term

import (
	"fmt"
	"slices"
	"strings"

	"github.com/charmbracelet/x/ansi"

	"github.com/ctkeeper/ctkeeper/status"
)

// How much of a problem is shown.
const (
	inFull  = iota
	inTwo   // a line of text and one of details
	inBrief // one line
)

// allProblems returns the problems, the worst first. That the status cannot be read is the worst of all.
func (m model) allProblems() []status.Problem {
	if m.failed == nil {
		return m.status.Problems
	}
	return append([]status.Problem{{Severity: status.Critical, Text: m.failed.Error()}}, m.status.Problems...)
}

// problems renders what is wrong in at most so many lines, or that nothing is. Where there are not enough lines, the
// worst problem keeps its lines, and the last of the others get shorter first.
func (m model) problems(budget int) []line {
	all := m.allProblems()
	if len(all) == 0 {
		var lines []line
		for _, text := range m.wrap(m.status.Headline+".", m.width) {
			lines = append(lines, line{{text, severityColour(status.Good)}})
		}
		return lines[:min(len(lines), budget)]
	}
	others := all[1:]
	lines := m.problem(all[0], inFull, false)
	if room := budget - min(len(others), 1); len(lines) > room {
		lines = cutLines(lines, max(room, 1))
	}
	return append(lines, m.otherProblems(others, budget-len(lines))...)
}

// otherProblems renders problems in at most so many lines: as many in full as possible, then in two lines, and the
// last ones in one line.
func (m model) otherProblems(others []status.Problem, budget int) []line {
	shown, rest := others, plainLine("")
	if len(others) > budget {
		shown = others[:max(budget-1, 0)]
		rest = plainLine(fmt.Sprintf("and %d more: press w", len(others)-len(shown)))
		budget--
	}
	blocks := make([][]line, len(shown)) // from the shortest form to longer ones, the first problem first
	for i, p := range shown {
		blocks[i] = m.problem(p, inBrief, false)
		budget -= len(blocks[i])
	}
	for form := inTwo; form >= inFull; form-- {
		for i, p := range shown {
			if longer := m.problem(p, form, false); len(longer)-len(blocks[i]) <= budget {
				budget -= len(longer) - len(blocks[i])
				blocks[i] = longer
			}
		}
	}
	lines := slices.Concat(blocks...)
	if len(shown) < len(others) && budget >= 0 {
		lines = append(lines, rest)
	}
	return lines
}

// cutLines returns the first n lines. The last of them continues with the others, so that it is marked as cut.
func cutLines(lines []line, n int) []line {
	cut := append([]line(nil), lines[:n]...)
	for _, l := range lines[n:] {
		cut[n-1] = append(cut[n-1][:len(cut[n-1]):len(cut[n-1])], span{" ", plain})
		cut[n-1] = append(cut[n-1], l[len(l)-1])
	}
	return cut
}

// problem renders one problem: its severity and text, then since when, by whom, what to do, and with docs where that
// is explained.
func (m model) problem(p status.Problem, form int, withDocs bool) []line {
	colour := severityColour(p.Severity)
	head := strings.ToUpper(string(p.Severity))
	indent := len("CRITICAL ")
	if m.width < 60 {
		indent = 2
		head += " "
	}
	head = m.pad(head, max(indent, len(head)))
	texts := m.wrapAfter(p.Text+".", m.width-len(head), m.width-indent)
	details := m.wrap(m.details(p), m.width-indent)
	if withDocs && p.Docs != "" {
		details = append(details, p.Docs)
	}
	if form != inFull {
		texts = []string{p.Text + "."}
		details = []string{m.details(p)}
	}
	if form == inBrief || details[0] == "" {
		details = details[1:]
	}
	lines := []line{{{head, colour}, {texts[0], colour}}}
	for _, text := range texts[1:] {
		lines = append(lines, line{{strings.Repeat(" ", indent), plain}, {text, colour}})
	}
	for _, text := range details {
		lines = append(lines, plainLine(strings.Repeat(" ", indent)+text))
	}
	return lines
}

// details renders since when, by whom, and what to do.
func (m model) details(p status.Problem) string {
	var parts []string
	if !p.Since.IsZero() {
		parts = append(parts, fmt.Sprintf("since %s (%s)", m.when(p.Since), spanText(m.at.Sub(p.Since))))
	}
	if p.By != "" {
		parts = append(parts, "by "+p.By)
	}
	if p.Do != "" {
		parts = append(parts, p.Do)
	}
	return strings.Join(parts, "; ")
}

// wrap cleans a text and breaks it into lines of at most width columns, at least one.
func (s style) wrap(text string, width int) []string { return s.wrapAfter(text, width, width) }

// wrapAfter is wrap with another width of the first line.
func (s style) wrapAfter(text string, first, width int) []string {
	const narrowest = 10
	text = s.clean(text)
	lines := strings.Split(ansi.Wrap(text, max(first, narrowest), ""), "\n")
	if first == width || len(lines) == 1 {
		return lines
	}
	rest := strings.TrimLeft(strings.TrimPrefix(text, lines[0]), " ")
	return append(lines[:1], strings.Split(ansi.Wrap(rest, max(width, narrowest), ""), "\n")...)
}

package term

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/ui/sgr"
)

// allProblems returns the problems, the worst first. That the status cannot be read is the worst of all.
func (m model) allProblems() []status.Problem {
	if m.failed == nil {
		return m.status.Problems
	}
	text := m.failed.Error()
	if !m.at.IsZero() {
		text += "; the rest of this screen is of " + m.clock(m.at, time.TimeOnly)
	}
	return append([]status.Problem{{Severity: status.Critical, Text: text}}, m.status.Problems...)
}

// problems renders what is wrong in at most so many lines, or that nothing is. Where there are not enough lines, the
// worst problem keeps its lines, and the last of the others get shorter first.
func (m model) problems(budget int) []line {
	all := m.allProblems()
	if len(all) == 0 && m.at.IsZero() {
		return nil
	}
	if len(all) == 0 {
		var lines []line
		for _, text := range m.wrap(m.status.Headline+".", m.width) {
			lines = append(lines, line{{text, sgr.Of(status.Good)}})
		}
		return lines[:min(len(lines), budget)]
	}
	others := all[1:]
	lines := m.problem(all[0])
	lines = cutLines(lines, max(budget-min(len(others), 1), 1))
	return append(lines, m.otherProblems(others, budget-len(lines))...)
}

// otherProblems renders problems in at most so many lines: one line each, then two, then as many as they need.
func (m model) otherProblems(others []status.Problem, budget int) []line {
	shown := others
	if len(others) > budget {
		shown = others[:max(budget-1, 0)]
	}
	isShort := len(shown) < len(others) && budget > 0
	blocks, lengths := make([][]line, len(shown)), make([]int, len(shown))
	for i, p := range shown {
		blocks[i] = m.problem(p)
	}
	for _, length := range []int{1, 2, m.height} {
		for i, block := range blocks {
			more := min(min(len(block), length)-lengths[i], budget)
			lengths[i] += more
			budget -= more
		}
	}
	var lines []line
	for i, block := range blocks {
		lines = append(lines, cutLines(block, lengths[i])...)
	}
	if isShort {
		lines = append(lines, plainLine(fmt.Sprintf("and %d more: press w", len(others)-len(shown))))
	}
	return lines
}

// cutLines returns at most n lines. The last of them continues with the others, so that it is marked as cut.
func cutLines(lines []line, n int) []line {
	if len(lines) <= n {
		return lines
	}
	cut := slices.Clone(lines[:n])
	last := slices.Clone(cut[n-1])
	end := &last[len(last)-1]
	if end.text == "" {
		end = &last[len(last)-2]
	}
	for _, l := range lines[n:] {
		for _, part := range l[1:] { // without the indent
			end.text = strings.TrimRight(end.text, " ") + " " + part.text
		}
	}
	cut[n-1] = last
	return cut
}

// problem renders one problem: its severity, its text, and then the details.
func (m model) problem(p status.Problem) []line {
	colour := sgr.Of(p.Severity)
	head := strings.ToUpper(string(p.Severity))
	indent := len("CRITICAL ")
	if m.width < 60 {
		indent = 2
	}
	head = m.pad(head, max(indent-1, len(head))) + " "
	text := m.clean(p.Text) + "."
	all := strings.TrimRight(text+" "+m.clean(m.details(p)), " ")
	var lines []line
	begin := 0
	for i, part := range m.wrapAfter(all, m.width-len(head), m.width-indent) {
		l := line{{strings.Repeat(" ", indent), plain}}
		if i == 0 {
			l = line{{head, colour}}
		}
		begin += strings.Index(all[begin:], part)
		ofText := min(max(len(text)-begin, 0), len(part))
		lines = append(lines, append(l, span{part[:ofText], colour}, span{part[ofText:], plain}))
		begin += len(part)
	}
	return lines
}

// details renders since when, by whom, and what to do.
func (m model) details(p status.Problem) string {
	var text string
	if !p.Since.IsZero() {
		text = fmt.Sprintf("Since %s (%s)", m.when(p.Since), spanText(m.at.Sub(p.Since)))
	}
	switch {
	case p.By != "" && text != "":
		text += ", by " + p.By
	case p.By != "":
		text = "By " + p.By
	}
	if text != "" {
		text += ". "
	}
	return text + p.Do
}

// wrap cleans a text and breaks it into lines of at most width columns, at least one.
func (s style) wrap(text string, width int) []string { return s.wrapAfter(text, width, width) }

// wrapAfter is wrap with another width of the first line.
func (s style) wrapAfter(text string, first, width int) []string {
	text = s.clean(text)
	lines := breakLines(text, first)
	if first == width || len(lines) == 1 {
		return lines
	}
	rest := strings.TrimLeft(strings.TrimPrefix(text, lines[0]), " ")
	return append(lines[:1], breakLines(rest, width)...)
}

// breakLines breaks a clean text at spaces and hyphens, and words that are too long anywhere.
func breakLines(text string, width int) []string {
	const narrowest = 10
	width = max(width, narrowest)
	text = ansi.Hardwrap(ansi.Wrap(text, width, ""), width, true) // Wrap leaves a hyphen behind the last column
	return strings.Split(text, "\n")
}

package change

import "strings"

// Text is a text file.
type Text struct {
	File  string
	Lines []string
	// Unterminated is true if the last line has no newline.
	Unterminated bool
}

// NewText splits the content of a file.
func NewText(file, content string) Text {
	body, isTerminated := strings.CutSuffix(content, "\n")
	if content == "" {
		return Text{File: file}
	}
	return Text{file, strings.Split(body, "\n"), !isTerminated}
}

// Edits returns the edits after which the file has the lines, which may be more than before.
func (t Text) Edits(lines []string) []Step {
	var steps []Step
	for i, line := range lines {
		last := t.Unterminated && i+1 == len(t.Lines)
		switch {
		case i < len(t.Lines) && line == t.Lines[i] && (!last || len(lines) == len(t.Lines)):
		case i < len(t.Lines):
			steps = append(steps, Step{Edit: &Edit{t.File, i + 1, t.Lines[i], line, last}})
		default:
			steps = append(steps, Step{Edit: &Edit{File: t.File, Line: i + 1, New: line}})
		}
	}
	return steps
}

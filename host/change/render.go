package change

import (
	"fmt"
	"path"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/shell"
)

// Render returns the lines of text of the steps: commands for a shell, indented, and diffs for patch -p1
// -d /. Edits of one file that follow each other are one command of sed(1) if they only make comments, else one
// diff. Diffs are not indented: patch(1) does not take an indented "\\ No newline at end of file".
func Render(steps []Step, indent string) []string {
	var lines []string
	for len(steps) > 0 {
		n := 1
		switch s := steps[0]; {
		case s.Edit != nil:
			n = editsOf(steps)
			if script := commentScript(steps[:n]); script != "" {
				lines = append(lines, indent+command([]string{"sed", "-i", script, s.Edit.File}))
			} else {
				lines = append(lines, diff(steps[:n])...)
			}
		case s.Write != nil:
			lines = append(lines, indent+write(*s.Write))
		default:
			lines = append(lines, indent+command(s.Command))
		}
		steps = steps[n:]
	}
	return lines
}

// command returns a command for a shell.
func command(words []string) string {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = shell.Quote(word)
	}
	return strings.Join(quoted, " ")
}

func write(w Write) string {
	content := strings.TrimSuffix(w.Content, "\n")
	if IsKernelFile(w.File) {
		return command([]string{"echo", content}) + " > " + shell.Quote(w.File)
	}
	printf := command(append([]string{"printf", `%s\n`}, strings.Split(content, "\n")...))
	return "mkdir -p " + shell.Quote(path.Dir(w.File)) + " && " + printf + " > " + shell.Quote(w.File)
}

// editsOf returns how many of the first steps are edits of one file.
func editsOf(steps []Step) int {
	for i, s := range steps {
		if s.Edit == nil || s.Edit.File != steps[0].Edit.File {
			return i
		}
	}
	return len(steps)
}

// commentScript returns the script of sed(1) for edits that only make comments, which has no text of the file;
// "" for others. Run twice, it changes nothing more.
func commentScript(edits []Step) string {
	var scripts []string
	for _, s := range edits {
		if !s.Edit.IsComment() {
			return ""
		}
		scripts = append(scripts, fmt.Sprintf("%ds/^[^#]/# &/", s.Edit.Line))
	}
	return strings.Join(scripts, ";")
}

// diff returns a unified diff without context, in which each edit is a hunk.
func diff(edits []Step) []string {
	name := edits[0].Edit.File
	if strings.Contains(name, " ") {
		name += "\t" // ends the name
	}
	lines := []string{"--- " + name, "+++ " + name}
	moved := 0
	for _, s := range edits {
		e := s.Edit
		// A hunk without lines on one side has the number of the line before it there.
		switch at := e.Line + moved; {
		case e.Old == "":
			lines = append(lines, fmt.Sprintf("@@ -%d,0 +%d @@", e.Line-1, at))
			moved++
		case e.New == "":
			lines = append(lines, fmt.Sprintf("@@ -%d +%d,0 @@", e.Line, at-1))
			moved--
		default:
			lines = append(lines, fmt.Sprintf("@@ -%d +%d @@", e.Line, at))
		}
		for _, side := range [][2]string{{"-", e.Old}, {"+", e.New}} {
			if side[1] == "" {
				continue
			}
			lines = append(lines, side[0]+side[1])
			if e.Unterminated && side[0] == "-" {
				lines = append(lines, `\ No newline at end of file`)
			}
		}
	}
	return lines
}

package change

import (
	"reflect"
	"slices"
	"strings"
	"unicode"
)

// Step is one step of a repair: exactly one of its fields is set.
type Step struct {
	// Obstacle is why there can be no such step, as a sentence for people. A repair with an obstacle is not
	// offered.
	Obstacle string `json:"-"`

	// Command is a program and its arguments.
	Command []string `json:"command,omitempty"`
	Edit    *Edit    `json:"edit,omitempty"`
	Write   *Write   `json:"write,omitempty"`
}

// Edit changes one line of a text file.
type Edit struct {
	File string `json:"file"`
	Line int    `json:"line"`
	// Old is the line's present text, without its newline. It is empty for a line that is added at the end.
	Old string `json:"old"`
	// New is empty if the line is removed.
	New string `json:"new"`
	// Unterminated is true for the last line of a file if it has no newline. The edit adds one.
	Unterminated bool `json:"unterminated,omitempty"`
}

// IsComment reports whether an edit makes a line a comment.
func (e Edit) IsComment() bool { return e.Old != "" && e.New == "# "+e.Old }

// Write writes a whole file, or a number into a file of the kernel.
type Write struct {
	File    string `json:"file"`
	Content string `json:"content"`
}

// Run returns a step that runs a command.
func Run(command ...string) Step { return Step{Command: command} }

// WriteFile returns a step that writes lines into a file.
func WriteFile(file string, lines ...string) Step {
	return Step{Write: &Write{File: file, Content: strings.Join(lines, "\n") + "\n"}}
}

// Block returns the step that cannot be made, and why.
func Block(why string) Step { return Step{Obstacle: why} }

// Unique returns the steps without repetitions, in the order of their first occurrence.
func Unique(steps []Step) []Step {
	var unique []Step
	for _, s := range steps {
		if !slices.ContainsFunc(unique, s.Equal) {
			unique = append(unique, s)
		}
	}
	return unique
}

// Equal reports whether two steps do the same.
func (s Step) Equal(other Step) bool { return reflect.DeepEqual(s, other) }

// IsKernelFile reports whether a file is one of the kernel's, which takes a single number.
func IsKernelFile(file string) bool {
	return strings.HasPrefix(file, "/proc/sys/") || strings.HasPrefix(file, "/sys/")
}

// IsPlain reports whether a person sees every character of a line, and a terminal obeys none.
func IsPlain(line string) bool {
	return !strings.ContainsFunc(line, func(r rune) bool {
		return r != '\t' && !unicode.IsPrint(r) || r == unicode.ReplacementChar
	})
}

// plainMarks are characters that are none of the shell's, or expand to file names at most.
const plainMarks = " \t._=/:,#+@%*?^~-"

// isNameStart reports whether a variable's name can begin with a character.
func isNameStart(r rune) bool { return r == '_' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z' }

// IsHarmless reports whether a shell into which somebody pastes a line of a diff does nothing with it: the line
// has no character of the shell's, but pairs of quotes and plain variables.
func IsHarmless(line string) bool {
	for _, quote := range []string{`"`, `'`} {
		if n := strings.Count(line, quote); n > 0 && n%2 == 0 {
			line = strings.ReplaceAll(line, quote, "")
			break
		}
	}
	rest := []rune(line)
	for i, r := range rest {
		isVariable := r == '$' && i+1 < len(rest) && isNameStart(rest[i+1])
		if !isVariable && !unicode.IsLetter(r) && !unicode.IsNumber(r) && !strings.ContainsRune(plainMarks, r) {
			return false
		}
	}
	return true
}

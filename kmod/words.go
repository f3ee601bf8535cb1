package kmod

import (
	"fmt"
	"iter"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

// joinLines returns the logical lines of a text, keyed by the number of their first physical line. As
// in libkmod (freadline_wrapped), a backslash at the end of a line joins the next one, also in a
// comment; before any other character it is dropped.
func joinLines(text []byte) iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		var line strings.Builder
		first, number := 1, 1
		for i := 0; i < len(text); i++ {
			switch c := text[i]; {
			case c == '\n':
				if !yield(first, line.String()) {
					return
				}
				line.Reset()
				number++
				first = number
			case c == '\\':
				i++
				if i < len(text) && text[i] == '\n' {
					number++
				} else if i < len(text) {
					line.WriteByte(text[i])
				}
			default:
				line.WriteByte(c)
			}
		}
		if line.Len() > 0 {
			yield(first, line.String())
		}
	}
}

// cutWord cuts the first word off a line, as strtok_r(3) does with blank and tab.
func cutWord(line string) (first, rest string) {
	line = strings.TrimLeft(line, " \t")
	if end := strings.IndexAny(line, " \t"); end >= 0 {
		return line[:end], line[end+1:]
	}
	return line, ""
}

// NormalizeName returns the name of a module or parameter in the kernel's form, with each "-" replaced by
// "_". A "-" between brackets is a range of a pattern and stays.
func NormalizeName(name string) string {
	kernels, inside := []byte(name), false
	for i, c := range kernels {
		switch {
		case c == '[' || c == ']':
			inside = c == '['
		case c == '-' && !inside:
			kernels[i] = '_'
		}
	}
	return string(kernels)
}

// splitArguments splits a line of parameters as the kernel does (next_arg of lib/cmdline.c): quotation
// marks keep blanks in a word and cannot be escaped. Neither modprobe.d nor the kernel has the rules
// of a shell.
func splitArguments(line string) []Option {
	var options []Option
	for line = trimSpace(line); line != ""; line = trimSpace(line) {
		var o Option
		o, line = nextArgument(line)
		options = append(options, o)
	}
	return options
}

// trimSpace cuts what isspace of the kernel matches, in ASCII, from the front.
func trimSpace(s string) string { return strings.TrimLeft(s, " \t\n\v\f\r") }

// nextArgument parses the first parameter of a line and returns the rest of the line.
func nextArgument(line string) (o Option, rest string) {
	line, quoted := strings.CutPrefix(line, `"`)
	inQuote, equals, end := quoted, 0, 0
	for ; end < len(line) && (inQuote || trimSpace(line[end:end+1]) != ""); end++ {
		if line[end] == '=' && equals == 0 {
			equals = end
		}
		if line[end] == '"' {
			inQuote = !inQuote
		}
	}
	argument, rest := line[:end], line[end:]
	if quoted {
		argument = strings.TrimSuffix(argument, `"`)
	}
	if equals == 0 {
		return Option{Name: NormalizeName(argument), Bare: true}, rest
	}
	value := argument[equals+1:]
	if inner, ok := strings.CutPrefix(value, `"`); ok {
		value = strings.TrimSuffix(inner, `"`)
	}
	return Option{Name: NormalizeName(argument[:equals]), Value: value}, rest
}

// troubleList keeps the first maxTroubles troubles of a file and counts the others.
type troubleList struct {
	kept []tree.Trouble
	more int
}

func (c *troubleList) add(file string, line int, err error) {
	if len(c.kept) < maxTroubles {
		c.kept = append(c.kept, newTrouble(file, line, err))
	} else {
		c.more++
	}
}

func (c *troubleList) list(file string) []tree.Trouble {
	if c.more > 0 {
		return append(c.kept, newTrouble(file, 0, fmt.Errorf("and %d more lines like these", c.more)))
	}
	return c.kept
}

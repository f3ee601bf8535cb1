package inventory

import (
	"iter"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

// pair is one line NAME=VALUE.
type pair struct {
	tree.Place
	section, name, value string
}

// shellPairs reads a file of assignments that a shell script takes in: firewall
// scripts' configuration. The last of a name counts. The rest of such a file is
// code, and skipped.
func (r *reader) shellPairs(path string) map[string]pair {
	text, ok := r.read(path)
	if !ok {
		return nil
	}
	pairs := map[string]pair{}
	for _, c := range parseShell(text) {
		if len(c.words) > 0 {
			continue // NAME=VALUE is for that one command
		}
		for _, v := range c.assigns {
			pairs[v.name] = pair{Place: tree.Place{File: path, Line: c.line}, name: v.name, value: v.value}
		}
	}
	return pairs
}

// parseINI reads [section] and NAME=VALUE lines; separators are the characters
// that may stand between name and value. Comments begin with # or ;, in a value
// with " #".
func parseINI(file, text, separators string) ([]pair, []tree.Trouble) {
	var pairs []pair
	var troubles []tree.Trouble
	section := ""
	for number, line := range numbered(text) {
		at := tree.Place{File: file, Line: number}
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
			continue
		case line[0] == '[' && strings.Contains(line, "]"):
			section = strings.TrimSpace(line[1:strings.IndexByte(line, ']')])
			continue
		}
		cut := strings.IndexAny(line, separators)
		if cut <= 0 {
			troubles = append(troubles, tree.Trouble{Place: at, Err: errNotAssignment})
			continue
		}
		value, _, _ := strings.Cut(line[cut+1:], " #")
		pairs = append(pairs, pair{at, section, strings.TrimSpace(line[:cut]), strings.TrimSpace(value)})
	}
	return pairs, troubles
}

func (r *reader) ini(path, separators string) []pair {
	text, _ := r.read(path)
	pairs, troubles := parseINI(path, text, separators)
	for _, t := range troubles {
		r.trouble(t.Place, t.Err)
	}
	return pairs
}

// numbered returns the lines of a text with their numbers, from 1.
func numbered(text string) iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		number := 0
		for line := range strings.SplitSeq(text, "\n") {
			number++
			if !yield(number, strings.TrimRight(line, "\r")) {
				return
			}
		}
	}
}

// joinedLines returns the lines of a text, those that a backslash continues joined, with the
// number of the first. Lines that begin with # are left out, between joined ones too.
func joinedLines(text string) iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		var joined strings.Builder
		first := 0
		for number, line := range numbered(text) {
			line = strings.TrimSpace(line)
			if joined.Len() == 0 {
				first = number
			}
			if strings.HasPrefix(line, "#") {
				continue
			}
			line, continues := strings.CutSuffix(line, "\\")
			joined.WriteString(line)
			if continues {
				continue
			}
			if joined.Len() > 0 && !yield(first, joined.String()) {
				return
			}
			joined.Reset()
		}
	}
}

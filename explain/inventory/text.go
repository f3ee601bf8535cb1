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

// shellPairs returns the assignments in a file that a shell script sources, such as the
// configuration of a firewall script. The last of a name counts. It returns nil if there is no
// such file.
func (r *reader) shellPairs(path string) map[string]pair {
	text, ok := r.read(path)
	if !ok {
		return nil
	}
	pairs := map[string]pair{}
	for _, c := range parseShell(text) {
		if len(c.words) > 0 {
			continue // NAME=VALUE before a command is only for that command
		}
		for _, v := range c.assigns {
			pairs[v.name] = pair{Place: tree.Place{File: path, Line: c.line}, name: v.name, value: v.value}
		}
	}
	return pairs
}

// addPairOption adds the option of a tool that its file sets, or else the tool's default.
func (r *reader) addPairOption(tool, file string, given map[string]pair, name, defaultValue string) {
	if p, there := given[name]; there {
		r.addOption(tool, name, p.value, p.Place, false)
		return
	}
	r.addOption(tool, name, defaultValue, tree.Place{File: file}, true)
}

// parseINI reads [section] and NAME=VALUE lines. Comments begin with # or ;, after a value with " #".
func parseINI(file, text string) ([]pair, []tree.Trouble) {
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
		name, value, assigned := strings.Cut(line, "=")
		if name == "" || !assigned {
			troubles = append(troubles, tree.Trouble{Place: at, Err: errNotAssignment})
			continue
		}
		value, _, _ = strings.Cut(strings.ReplaceAll(value, "\t", " "), " #")
		pairs = append(pairs, pair{at, section, strings.TrimSpace(name), strings.TrimSpace(value)})
	}
	return pairs, troubles
}

// iniPairs returns the pairs of a file, none if it cannot be read.
func (r *reader) iniPairs(path string) []pair {
	text, _ := r.read(path)
	pairs, troubles := parseINI(path, text)
	for _, t := range troubles {
		r.addTrouble(t.Place, t.Err)
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

package inventory

import (
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
	for _, c := range scanShell(text) {
		words := c.words
		if len(words) > 0 && words[0] == "export" {
			words = words[1:]
		}
		if len(words) == 0 {
			continue
		}
		if name, value, assigned := strings.Cut(words[0], "="); assigned {
			pairs[name] = pair{Place: tree.Place{File: path, Line: c.line}, name: name, value: value}
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

package firewall

import (
	"errors"
	"path"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/pattern"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

const (
	// nftIncludeDir is where nft(8) looks for a file that is included by a relative path.
	nftIncludeDir = "/etc"
	// maxIncludes is the most files of one ruleset that are read. nft(8) refuses more than 16 levels.
	maxIncludes = 256
)

var (
	errIncludes    = errors.New("more than 256 files are included")
	errIncludeGlob = errors.New("cannot follow an include with a pattern in its directory")
)

// nftFiles are the rulesets that the distributions' services load.
func nftFiles() []string {
	return []string{
		"/etc/nftables.conf", "/etc/sysconfig/nftables.conf", "/etc/nftables.nft", "/var/lib/nftables/rules-save",
	}
}

// nftToken matches a quoted string, a comment, a word or a sign of nft(8)'s language.
var nftToken = pattern.New(`"[^"]*"?|#.*|[^\s{};,="#]+|[{};]`)

// nftLine is one line of a ruleset. Quoted strings keep their quotes; comments are left out.
type nftLine struct {
	tree.Place
	text  string
	words []string
}

// word returns the word at i, "" after the last.
func (l nftLine) word(i int) string {
	if i < 0 || i >= len(l.words) {
		return ""
	}
	return l.words[i]
}

// readNftFiles searches the rulesets that are loaded at boot, and what they include, line by
// line. It finds the statements that use the connection tracker, and ct helper set with the
// object or the inline map on the same line. It does not follow variables and named maps: on the
// running system, nft -j shows what those attach.
func readNftFiles(t tree.Tree, r *Rules) {
	var lines []nftLine
	queue, seen := nftFiles(), map[string]bool{}
	for ; len(queue) > 0; queue = queue[1:] {
		file := queue[0]
		if seen[file] {
			continue
		}
		if seen[file] = true; len(seen) > maxIncludes {
			r.addTrouble(tree.Place{File: file}, errIncludes)
			break
		}
		text, ok := r.readFile(t, file, maxRules)
		if !ok {
			continue
		}
		for _, line := range parseNftLines(file, text) {
			if line.word(0) == "include" {
				queue = append(queue, included(t, r, line.Place, unquote(line.word(1)))...)
			}
			lines = append(lines, line)
		}
	}
	r.merge(searchNft(lines))
}

// included returns the files that an include names; a pattern names none or many.
func included(t tree.Tree, r *Rules, place tree.Place, name string) []string {
	if !path.IsAbs(name) {
		name = path.Join(nftIncludeDir, name)
	}
	if !strings.ContainsAny(name, "*?[") {
		if _, err := t.Stat(name); err != nil {
			r.addTrouble(place, err)
			return nil
		}
		return []string{name}
	}
	dir, pattern := path.Split(name)
	if strings.ContainsAny(dir, "*?[") {
		r.addTrouble(place, errIncludeGlob)
		return nil
	}
	var paths []string
	names, _ := t.List(dir) // no match is no error
	for _, entry := range names {
		if match, _ := path.Match(pattern, entry); match && !strings.HasPrefix(entry, ".") {
			paths = append(paths, dir+entry)
		}
	}
	return paths
}

func parseNftLines(file string, text []byte) []nftLine {
	var lines []nftLine
	number := 0
	for text := range strings.Lines(string(text)) {
		number++
		words := slices.DeleteFunc(nftToken.FindAllString(text, -1), func(word string) bool { return word[0] == '#' })
		lines = append(lines, nftLine{tree.Place{File: file, Line: number}, strings.TrimSpace(text), words})
	}
	return lines
}

// searchNft returns what the lines of one ruleset attach and need.
func searchNft(lines []nftLine) Rules {
	var r Rules
	types := nftHelperTypes(lines)
	for _, line := range lines {
		for i, word := range line.words {
			if slices.Contains([]string{"table", "chain", "jump", "goto", "map", "set", "status"}, line.word(i-1)) {
				continue // a name, or a state
			}
			switch next := line.word(i + 1); word {
			case "ct":
				if next == "count" {
					word = "ct count"
				}
				if next == "helper" && line.word(i+2) == "set" {
					r.setHelpers(line, line.words[i+3:], types)
				}
			case "flow":
				if next != "add" && next != "offload" {
					continue
				}
			case "notrack", "snat", "dnat", "masquerade", "redirect", "synproxy":
			default:
				continue
			}
			r.addModule(nftModule(word, nil), line.Place)
		}
	}
	return r
}

// nftHelperTypes returns the types of the ct helper objects by their names: of "ct helper NAME {",
// and of "add ct helper FAMILY TABLE NAME {". Names are taken for the same in all tables, as few
// rulesets use one twice.
func nftHelperTypes(lines []nftLine) map[string]string {
	types := map[string]string{}
	object := ""
	for _, line := range lines {
		for i, word := range line.words {
			switch {
			case word == "ct" && line.word(i+1) == "helper":
				for brace := i + 3; brace < i+6 && line.word(brace-1) != ";"; brace++ {
					if line.word(brace) == "{" {
						object = unquote(line.word(brace - 1))
					}
				}
			case word == "type" && object != "":
				types[object], object = unquote(line.word(i+1)), ""
			}
		}
	}
	return types
}

// setHelpers adds the helpers that the words after "ct helper set" name: one object, one type,
// or the objects of an inline map.
func (r *Rules) setHelpers(line nftLine, words []string, types map[string]string) {
	if end := slices.Index(words, ";"); end >= 0 {
		words = words[:end]
	}
	isMap := slices.Contains(words, "map")
	if !isMap {
		words = words[:min(1, len(words))]
	}
	var names []string
	for _, word := range words {
		name := unquote(word)
		if helper := types[name]; helper != "" {
			names = append(names, helper)
		} else if !isMap && name != "" {
			names = append(names, name)
		}
	}
	for _, name := range unique(names) {
		r.Helpers = append(r.Helpers, HelperRule{Place: line.Place, Name: name, Rule: line.text})
	}
}

func unquote(word string) string { return strings.Trim(word, `"`) }

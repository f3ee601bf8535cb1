package firewall

import (
	"errors"
	"path"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

const (
	// nftIncludeDir is where nft(8) looks for a file that is included by a relative
	// path.
	nftIncludeDir = "/etc"
	// maxIncludes bounds the files of one ruleset. nft refuses more than 16 levels.
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

// readNftFiles reads the rulesets that are loaded at boot and what they include.
func readNftFiles(t tree.Tree, r *Rules) {
	var files []nftFile
	queue, seen := nftFiles(), map[string]bool{}
	for len(queue) > 0 {
		path := queue[0]
		queue = queue[1:]
		if seen[path] {
			continue
		}
		if seen[path] = true; len(seen) > maxIncludes {
			r.trouble(tree.Place{File: path}, errIncludes)
			break
		}
		text, ok := r.file(t, path, maxRules)
		if !ok {
			continue
		}
		file := tokenizeNft(path, text)
		files = append(files, file)
		for _, at := range file.find("include") {
			queue = append(queue, included(t, r, file.place(at), file.word(at+1))...)
		}
	}
	r.add(parseNftFiles(files))
}

// included gives the files that an include names; a pattern names none or many.
func included(t tree.Tree, r *Rules, place tree.Place, name string) []string {
	if !path.IsAbs(name) {
		name = path.Join(nftIncludeDir, name)
	}
	if !strings.ContainsAny(name, "*?[") {
		if !t.Exists(name) {
			_, err := t.Stat(name)
			r.trouble(place, err)
			return nil
		}
		return []string{name}
	}
	dir, pattern := path.Split(name)
	if strings.ContainsAny(dir, "*?[") {
		r.trouble(place, errIncludeGlob)
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

// nftToken is a word, a quoted string, a sign, or "\n" for the end of a line.
type nftToken struct {
	text   string
	line   int
	quoted bool
}

// nftFile is a file of nft(8)'s language, split.
type nftFile struct {
	path   string
	lines  []string
	tokens []nftToken
}

// tokenizeNft splits a file. A string without an end goes to the end of its line.
func tokenizeNft(path string, text []byte) nftFile {
	file := nftFile{path: path, lines: strings.Split(string(text), "\n")}
	for i, line := range file.lines {
		continued := file.line(line, i+1)
		if !continued {
			file.tokens = append(file.tokens, nftToken{text: "\n", line: i + 1})
		}
	}
	return file
}

// line splits one line, and reports whether it goes on in the next.
func (f *nftFile) line(line string, number int) (continued bool) {
	line, continued = strings.CutSuffix(strings.TrimRight(line, " \t\r"), `\`)
	begin := 0 // of the word at hand
	end := func(i int) {
		if i > begin {
			f.tokens = append(f.tokens, nftToken{text: line[begin:i], line: number})
		}
		begin = i + 1
	}
	for i := 0; i < len(line); i++ {
		switch c := line[i]; c {
		case '#':
			end(i)
			return false
		case ' ', '\t':
			end(i)
		case '{', '}', ';', ',', '=':
			end(i)
			f.tokens = append(f.tokens, nftToken{text: string(c), line: number})
		case '"':
			end(i)
			quoted, _, _ := strings.Cut(line[i+1:], `"`)
			f.tokens = append(f.tokens, nftToken{text: quoted, line: number, quoted: true})
			i += len(quoted) + 1
			begin = i + 1
		}
	}
	end(len(line))
	return continued
}

// is reports whether the token at i is this word or sign, not in quotes.
func (f nftFile) is(i int, word string) bool {
	return i >= 0 && i < len(f.tokens) && f.tokens[i].text == word && !f.tokens[i].quoted
}

// word is the text of the token at i, "" behind the last.
func (f nftFile) word(i int) string {
	if i < 0 || i >= len(f.tokens) {
		return ""
	}
	return f.tokens[i].text
}

func (f nftFile) place(i int) tree.Place {
	return tree.Place{File: f.path, Line: f.tokens[i].line}
}

// find gives where these words stand one after the other.
func (f nftFile) find(words ...string) []int {
	var found []int
	for i := range f.tokens {
		matches := true
		for j, word := range words {
			matches = matches && f.is(i+j, word)
		}
		if matches {
			found = append(found, i)
		}
	}
	return found
}

// end gives where the statement that goes on at i ends: at the end of the line, a
// semicolon, or the brace that closes around it.
func (f nftFile) end(i int) int {
	for depth := 0; i < len(f.tokens); i++ {
		switch {
		case f.is(i, "{"):
			depth++
		case f.is(i, "}"):
			if depth--; depth < 0 {
				return i
			}
		case depth == 0 && (f.is(i, ";") || f.is(i, "\n")):
			return i
		}
	}
	return i
}

// block gives where the tokens between the braces are, the first of which is at i.
func (f nftFile) block(i int) (from, to int) {
	depth := 0
	for to = i; to < len(f.tokens); to++ {
		if f.is(to, "{") {
			depth++
		} else if f.is(to, "}") {
			if depth--; depth == 0 {
				break
			}
		}
	}
	return i + 1, max(to, i+1)
}

// nftObjects are the types of the ct helpers by their names, and those in each map.
// Names are taken for the same in all tables, as few rulesets use one twice.
type nftObjects struct {
	types map[string]string
	maps  map[string][]string
}

// parseNftFiles reads files of nft(8) that are one ruleset together. No token is
// looked at more than a few times, however the braces stand.
func parseNftFiles(files []nftFile) Rules {
	var r Rules
	objects := nftObjects{types: map[string]string{}, maps: map[string][]string{}}
	for _, file := range files {
		file.helpers(objects)
	}
	for _, file := range files {
		file.maps(objects)
	}
	for _, file := range files {
		file.needs(&r)
		done := 0
		for _, at := range file.find("ct", "helper", "set") {
			if at < done {
				continue
			}
			done = file.end(at + 3)
			for _, name := range file.assigned(at+3, done, objects) {
				r.Helpers = append(r.Helpers, HelperRule{
					Place: file.place(at), Name: name, Rule: strings.TrimSpace(file.lines[file.tokens[at].line-1]),
				})
			}
		}
	}
	return r
}

// helpers notes the ct helpers that a file defines: "ct helper NAME {", or "add ct
// helper FAMILY TABLE NAME {".
func (f nftFile) helpers(objects nftObjects) {
	done := 0
	for _, at := range f.find("ct", "helper") {
		brace := at + 2
		for brace < at+6 && !f.is(brace, "{") {
			brace++
		}
		if at < done || brace == at+2 || !f.is(brace, "{") {
			continue
		}
		from, to := f.block(brace)
		done = to
		for i := from; i < to; i++ {
			if f.is(i, "type") {
				objects.types[f.word(brace-1)] = f.word(i + 1)
			}
		}
	}
}

// maps notes the maps that a file defines, with the ct helpers in them.
func (f nftFile) maps(objects nftObjects) {
	done := 0
	for _, at := range f.find("map") {
		if at >= done && f.is(at+2, "{") {
			from, to := f.block(at + 2)
			done = to
			objects.maps[f.word(at+1)] = f.known(from, to, objects)
		}
	}
}

// assigned gives the types of the helpers that the reference from i to end names:
// one, or those of a map.
func (f nftFile) assigned(i, end int, objects nftObjects) []string {
	if i >= end || f.word(i) == "" {
		return nil
	}
	for j := i; j < end; j++ {
		if f.is(j, "map") {
			if name, named := strings.CutPrefix(f.word(j+1), "@"); named {
				return objects.maps[name]
			}
			return f.known(j+1, end, objects)
		}
	}
	if kind := objects.types[f.word(i)]; kind != "" {
		return []string{kind}
	}
	return []string{f.word(i)}
}

// known gives the types of the helper objects that are named from one token to
// another.
func (f nftFile) known(from, to int, objects nftObjects) []string {
	var kinds []string
	for i := from; i < to; i++ {
		if kind := objects.types[f.word(i)]; kind != "" {
			kinds = append(kinds, kind)
		}
	}
	return unique(kinds)
}

// needs notes the modules that a file's words ask for.
func (f nftFile) needs(r *Rules) {
	for i, token := range f.tokens {
		if token.quoted || slices.Contains([]string{"table", "chain", "jump", "goto", "map", "set", "status"}, f.word(i-1)) {
			continue // a name, or a state
		}
		switch key := token.text; key {
		case "ct":
			if f.is(i+1, "count") {
				key = "ct count"
			}
			r.need(nftModule(key, nil), f.place(i))
		case "flow":
			if f.is(i+1, "add") || f.is(i+1, "offload") {
				r.need(nftModule(key, nil), f.place(i))
			}
		case "notrack", "snat", "dnat", "masquerade", "redirect", "synproxy":
			r.need(nftModule(key, nil), f.place(i))
		}
	}
}

package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"github.com/ctkeeper/ctkeeper/host/pattern"
	"github.com/ctkeeper/ctkeeper/host/spelling"
)

const (
	// maxFileErrors limits the errors of a file that are kept, in number.
	maxFileErrors = 50
	// maxCounted ends the decoding of a file. A file has less errors, unless aliases repeat a mapping.
	maxCounted = maxFileSize
)

// decoder decodes one file into a layer. It continues after an error, so that all errors of the
// file are reported at once.
type decoder struct {
	file, open string
	layer      layer
	warnings   []string
	// hasSettings is true if the file has the section settings, and it is not empty: "settings: {}" counts.
	hasSettings bool
	// errs are the first errors, failed is the number of all.
	errs   Errors
	failed int
}

// decode decodes the content of a file. file is its path as the host has it, open the path to
// open, with the root.
func decode(file, open string, data []byte) *decoder {
	d := &decoder{file: file, open: open, layer: newLayer()}
	if root := d.parse(data); root != nil {
		d.document(root)
	}
	slices.SortStableFunc(d.errs, func(a, b Error) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return d
}

// parse returns the root of the one document in data, or nil if the file is empty or it is not
// YAML.
func (d *decoder) parse(data []byte) *yaml.Node {
	if wrong, line, column := checkText(data); wrong != nil {
		d.add(wrong.at(position{open: d.open, line: line, column: column}, ""))
		return nil
	}
	in := yaml.NewDecoder(bytes.NewReader(data))
	var first, second yaml.Node
	if err := in.Decode(&first); err != nil {
		if !errors.Is(err, io.EOF) {
			d.add(d.syntaxError(data, err))
		}
		return nil
	}
	switch err := in.Decode(&second); {
	case err == nil:
		d.fail(&second, "", newFault("a second YAML document begins", "one document in a file"))
	case !errors.Is(err, io.EOF):
		d.add(d.syntaxError(data, err))
	}
	if len(first.Content) == 0 {
		return nil
	}
	return first.Content[0]
}

// checkText returns the fault of the first character that is not text, or that ends a line for some
// programs only, and its line and column; nil without one. YAML 1.1, and so the parser's line numbers,
// has more line breaks than editors: NEL, LS, PS, and CR alone.
func checkText(data []byte) (wrong *fault, line, column int) {
	start := 0 // of the line
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		switch {
		case r == '\n':
			line, start = line+1, i+1
		case r == '\r' && !bytes.HasPrefix(data[i+1:], []byte("\n")), r == 0x85, r == 0x2028, r == 0x2029:
			wrong = newFault(fmt.Sprintf("has %U, which is a line break for some programs only", r), "a newline")
		case r == utf8.RuneError && size == 1 || r < ' ' && r != '\t' && r != '\r':
			wrong = newFault("is not text", "YAML in UTF-8")
		}
		if wrong != nil {
			return wrong, 1 + line, 1 + utf8.RuneCount(data[start:i])
		}
		i += size
	}
	return nil, 0, 0
}

// yamlLine matches the line number in the text of the parser's errors, which have it nowhere
// else.
var yamlLine = pattern.New(`^line (\d+): `)

// grammarError matches the errors of yaml.v3's parser, which count lines from 0; those of its
// scanner count from 1 (yaml.v3, parser.fail).
var grammarError = pattern.New(`did not find expected (key|node content|<|'-'|',')`)

// syntaxError returns the YAML library's error with its place. The usual cause is a tab in the
// indentation, which the library's text does not name.
func (d *decoder) syntaxError(data []byte, err error) Error {
	lines := strings.Split(string(data), "\n")
	for i, line := range lines {
		text := strings.TrimLeft(line, " \t")
		indent := line[:len(line)-len(text)]
		if tab := strings.IndexByte(indent, '\t'); tab >= 0 && text != "" && text[0] != '#' {
			return Error{
				File: d.open, Line: i + 1, Column: tab + 1, Problem: "a tab indents the line", Allowed: "spaces",
			}
		}
	}
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if m := unknownAnchor.FindStringSubmatch(text); m != nil {
		return aliasFault(m[1]).at(d.aliasPosition(lines, m[1]), "")
	}
	wrong := Error{File: d.open, Err: err}
	m := yamlLine.FindStringSubmatch(text)
	if m != nil {
		wrong.Line, _ = strconv.Atoi(m[1])
		text = strings.TrimPrefix(text, m[0])
	}
	if grammarError.MatchString(text) {
		wrong.Line++
	}
	if wrong.Line > 0 {
		wrong.Line, wrong.Column = min(wrong.Line, len(lines)), 1
	}
	wrong.Problem = "is not YAML: " + text
	return wrong
}

// unknownAnchor matches the parser's error of an alias without an anchor, which has no place
// (yaml.v3, parser.alias).
var unknownAnchor = pattern.New(`^unknown anchor '(.*)' referenced$`)

func aliasFault(name string) *fault {
	return newFault("*"+shorten(name)+" has no anchor", "&"+shorten(name)+" at a value before it")
}

// aliasPosition returns the place of the first alias of a name, before any # of its line if there is such a one.
func (d *decoder) aliasPosition(lines []string, name string) position {
	for _, before := range []string{`^[^#]*?`, `^.*?`} {
		alias := regexp.MustCompile(before + `(\*` + regexp.QuoteMeta(name) + `)(?:[^0-9A-Za-z_-]|$)`)
		for i, line := range lines {
			if m := alias.FindStringSubmatchIndex(line); m != nil {
				return position{open: d.open, line: i + 1, column: 1 + utf8.RuneCountInString(line[:m[2]])}
			}
		}
	}
	return position{open: d.open, line: 1}
}

// fail adds an error at a node.
func (d *decoder) fail(n *yaml.Node, key string, wrong *fault) {
	d.add(wrong.at(d.at(n), key))
}

func (d *decoder) add(e Error) {
	if d.failed++; !d.isFull() {
		d.errs = append(d.errs, e)
	}
}

// isFull reports whether further errors are only counted.
func (d *decoder) isFull() bool { return len(d.errs) == maxFileErrors }

func (d *decoder) at(n *yaml.Node) position {
	return position{file: d.file, open: d.open, line: n.Line, column: n.Column}
}

// document decodes the top level.
func (d *decoder) document(root *yaml.Node) {
	d.section(root, "", func(k, v *yaml.Node) {
		switch k.Value {
		case "settings":
			d.settings(v)
		case "module":
			d.module(v)
		case "enforcement":
			d.enforcement(v)
		case "guard":
			d.guard(v)
		case "metrics":
			d.metrics(k, v)
		default:
			d.failUnknown(k, "", topKeys())
		}
	})
}

// section calls each for every key of a mapping. An empty value counts as a mapping without
// keys, as remains when the last line below it is commented out.
func (d *decoder) section(n *yaml.Node, key string, each func(k, v *yaml.Node)) {
	n = deref(n)
	switch {
	case isEmpty(n):
		return
	case n.Kind != yaml.MappingNode:
		d.fail(n, key, newFault("is "+kindOf(n), "a mapping of keys to values"))
		return
	case n.Style&yaml.TaggedStyle != 0:
		d.fail(n, key, newFault("has the tag "+strconv.Quote(shorten(n.Tag)), "the mapping without a tag"))
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content) && d.failed < maxCounted; i += 2 {
		k := deref(n.Content[i])
		full := join(key, quote(k.Value))
		line, twice := seen[k.Value]
		switch {
		case k.Kind != yaml.ScalarNode:
			d.fail(k, key, newFault("has "+kindOf(k)+" for a key", "a name"))
			continue
		case k.ShortTag() == "!!merge":
			d.fail(k, full, newFault("merge keys are not supported", "write the keys out"))
			continue
		case twice:
			d.fail(k, full, newFault(fmt.Sprintf("given twice, first in line %d", line), "once in a file"))
			continue
		}
		seen[k.Value] = k.Line
		each(k, deref(n.Content[i+1]))
	}
}

// isEmpty reports whether a key has no value.
func isEmpty(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Value == "" && n.Style == 0 && n.ShortTag() == "!!null"
}

// deref returns the node that an alias stands for, with the alias's own place. Decoding goes no
// deeper than the three levels of the schema, so an alias that contains itself ends as a value
// of the wrong kind.
func deref(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		target := *n.Alias
		target.Line, target.Column = n.Line, n.Column
		n = &target
	}
	return n
}

// read parses one scalar value.
func read[T any](d *decoder, n *yaml.Node, key string, parse func(scalar) (T, *fault)) optional[T] {
	s, wrong := scalarOf(n)
	if wrong == nil {
		var value T
		if value, wrong = parse(s); wrong == nil {
			return optional[T]{value: value, at: d.at(n), set: true}
		}
	}
	d.fail(n, key, wrong)
	return optional[T]{}
}

// failUnknown adds the error of an unknown key, with the nearest of the known ones.
func (d *decoder) failUnknown(k *yaml.Node, section string, known []string) {
	wrong := &fault{problem: "unknown key"}
	if d.isFull() {
		d.fail(k, "", wrong)
		return
	}
	near := spelling.Nearest(k.Value, known)
	switch {
	case section == "" && sectionOf(k.Value) != "":
		wrong.allowed = "it belongs under " + sectionOf(k.Value)
	case near != "":
		wrong.allowed = "did you mean " + near + "?"
	default:
		wrong.allowed = strings.Join(known, ", ")
	}
	d.fail(k, join(section, quote(k.Value)), wrong)
}

func join(section, key string) string {
	if section == "" {
		return key
	}
	return section + "." + key
}

package inventory

import (
	"path"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

// maxRule is how long a rule may be for udevd to read it (UDEV_LINE_SIZE).
const maxRule = 16384

// udevTerm is one KEY{attribute}OPERATOR"value" of a rule.
type udevTerm struct{ key, attribute, operator, value string }

// parseUdev splits a rule of udev(7) into its terms. What is no term is skipped, as
// udevd skips the whole rule with a warning: ok is then false.
func parseUdev(rule string) (terms []udevTerm, ok bool) {
	for rest := strings.TrimLeft(rule, " \t,"); rest != ""; rest = strings.TrimLeft(rest, " \t,") {
		at := strings.IndexAny(rest, "=!+-:")
		if at <= 0 {
			return terms, false
		}
		var term udevTerm
		if open := strings.IndexByte(rest, '{'); open >= 0 && open < at { // an attribute may hold any of these
			shut := strings.IndexByte(rest, '}')
			if shut < open {
				return terms, false
			}
			term.attribute = rest[open+1 : shut]
			term.key, rest = strings.TrimSpace(rest[:open]), rest[shut+1:]
		} else {
			term.key, rest = strings.TrimSpace(rest[:at]), rest[at:]
		}
		quote := strings.IndexByte(rest, '"')
		if quote < 0 || term.key == "" {
			return terms, false
		}
		term.operator = strings.Trim(rest[:quote], " \tei") // e"…" and i"…" are kinds of string
		value, after, closed := cutQuoted(rest[quote+1:])
		if !closed {
			return terms, false
		}
		term.value, rest = value, after
		terms = append(terms, term)
	}
	return terms, true
}

// cutQuoted cuts text at the quote that ends it; \" is a quote in it.
func cutQuoted(text string) (value, after string, closed bool) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && i+1 < len(text) && text[i+1] == '"':
			i++
			b.WriteByte('"')
		case text[i] == '"':
			return b.String(), text[i+1:], true
		default:
			b.WriteByte(text[i])
		}
	}
	return b.String(), "", false
}

// udev reads the udev rules that are about nf_conntrack's arrival.
func (r *reader) udev(files []sysctlFile) {
	for _, f := range r.dropins(".rules", configDirs("udev/rules.d")...) {
		text, ok := r.read(f.path)
		if !ok || !strings.Contains(text, "conntrack") {
			continue
		}
		for number, rule := range joinedLines(text) {
			r.udevRule(tree.Place{File: f.path, Line: number}, rule, f.hidden, files)
		}
	}
}

func (r *reader) udevRule(at tree.Place, rule, lost string, files []sysctlFile) {
	if len(rule) > maxRule {
		r.trouble(at, errRule)
		return
	}
	terms, ok := parseUdev(rule)
	if !strings.Contains(rule, "conntrack") || !aboutConntrack(terms) {
		return
	}
	if !ok {
		r.trouble(at, errRule)
		return
	}
	if lost == "" && r.builtIn {
		lost = "the module is part of the kernel: its arrival is no event"
	}
	s := script{Place: at, oneLine: true, by: "udev", phase: AfterModuleLoad, lost: lost}
	for _, term := range terms {
		switch {
		case term.key == "RUN" && (term.operator == "+=" || term.operator == "=" || term.operator == ":="):
			r.shell(s, shellOf(term.value), files)
		case term.key == "SYSCTL" && term.operator == "=":
			r.shellAssign(s, at, term.attribute, sysctlName(term.attribute), term.value)
		case term.key == "ATTR" && term.operator == "=" && term.attribute == "parameters/hashsize":
			r.shellWrite(s, at, []string{term.value}, hashsizeFile)
		}
	}
}

// aboutConntrack reports whether a rule matches the module's arrival.
func aboutConntrack(terms []udevTerm) bool {
	about := false
	for _, t := range terms {
		if t.operator != "==" {
			continue
		}
		switch t.key {
		case "KERNEL", "DEVPATH":
			matches := false
			for pattern := range strings.SplitSeq(t.value, "|") {
				name := "nf_conntrack"
				if t.key == "DEVPATH" {
					name = "/module/nf_conntrack"
				}
				ok, _ := path.Match(pattern, name)
				matches = matches || ok
			}
			if !matches {
				return false
			}
			about = true
		case "SUBSYSTEM":
			if t.value != "module" {
				return false
			}
		case "ACTION":
			if t.value == "remove" {
				return false
			}
		}
	}
	return about
}

// shellOf is what a program of RUN runs: of sh -c 'TEXT' the text.
func shellOf(run string) string {
	for _, c := range parseShell(run) {
		if name, args := c.program(); (name == "sh" || name == "bash" || name == "dash") && len(args) == 2 && args[0] == "-c" {
			return args[1]
		}
	}
	return run
}

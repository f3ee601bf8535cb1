package inventory

import (
	"path"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/dropin"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
)

// maxRule is the longest rule that udevd reads, in bytes (UDEV_LINE_SIZE).
const maxRule = 16384

// udevTerm is one KEY{attribute}OPERATOR"value" of a rule.
type udevTerm struct{ key, attribute, operator, value string }

// parseUdev splits a rule of udev(7) into its terms. ok is false at the first invalid term: udevd
// then skips the whole rule with a warning.
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

// cutQuoted cuts text at the closing quote; \" is a quote in the value.
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

// readUdev reads the udev rules for the load of nf_conntrack.
func (r *reader) readUdev() {
	for _, f := range r.dropins(".rules", dropin.Dirs("udev/rules.d")...) {
		text, ok := r.read(f.Path)
		if !ok || !strings.Contains(text, "conntrack") {
			continue
		}
		for number, rule := range joinedLines(text) {
			r.addUdevRule(tree.Place{File: f.Path, Line: number}, rule, hiddenReason(f))
		}
	}
}

// addUdevRule adds what one rule sets; noEffect is why udevd does not read it, or "".
func (r *reader) addUdevRule(at tree.Place, rule, noEffect string) {
	if len(rule) > maxRule {
		r.addTrouble(at, errRule)
		return
	}
	terms, ok := parseUdev(rule)
	if slices.ContainsFunc(terms, func(t udevTerm) bool { return t.key == "KERNEL" && t.value == kmod.Conntrack }) {
		r.markUnderstood(at) // a rule for another event of the module than its load sets nothing
	}
	protocols := kmod.ProtocolModules(r.release())
	matched := slices.DeleteFunc(append(slices.Clone(protocols), kmod.Conntrack),
		func(name string) bool { return !matchesModule(terms, name) })
	if !strings.Contains(rule, "conntrack") || len(matched) == 0 {
		return
	}
	if !ok {
		r.addTrouble(at, errRule)
		return
	}
	if noEffect == "" && r.builtIn {
		noEffect = "the module is part of the kernel: no add event announces it"
	}
	s := script{Place: at, oneLine: true, tool: "udev", phase: AfterModuleLoad, noEffect: noEffect}
	first := len(r.inv.Assignments)
	for _, term := range terms {
		switch {
		case term.key == "RUN" && (term.operator == "+=" || term.operator == "=" || term.operator == ":="):
			r.addScript(s, commandText(term.value))
		case term.key == "SYSCTL" && term.operator == "=":
			r.addScriptSysctl(s, at, term.attribute, sysctlName(term.attribute), term.value)
		case term.key == "ATTR" && term.operator == "=" && term.attribute == "parameters/hashsize":
			r.addWrite(s, at, []string{term.value}, hashsizeFile)
		}
	}
	if len(protocols) > 0 && slices.Equal(matched, []string{kmod.Conntrack}) {
		for i, a := range r.inv.Assignments[first:] {
			if isProtocolKey("nf_conntrack_" + a.Name) {
				r.inv.Assignments[first+i].Uncertain = "before Linux 4.19 it comes with nf_conntrack_ipv4, maybe later"
			}
		}
	}
}

// matchesModule reports whether a rule matches a module's add event.
func matchesModule(terms []udevTerm, module string) bool {
	named := false
	for _, t := range terms {
		if t.operator != "==" {
			continue
		}
		switch t.key {
		case "KERNEL", "DEVPATH":
			matches := false
			for pattern := range strings.SplitSeq(t.value, "|") {
				name := module
				if t.key == "DEVPATH" {
					name = "/module/" + module
				}
				ok, _ := path.Match(pattern, name)
				matches = matches || ok
			}
			if !matches {
				return false
			}
			named = true
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
	return named
}

// commandText returns the shell text that a program of RUN runs: the TEXT of sh -c 'TEXT'.
func commandText(run string) string {
	for _, c := range parseShell(run) {
		name, args := c.program()
		if slices.Contains([]string{"sh", "bash", "dash"}, name) && len(args) == 2 && args[0] == "-c" {
			return args[1]
		}
	}
	return run
}

package inventory

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

const (
	maxIncludes  = 40
	maxVariables = 100
	maxValue     = 4096
)

// tunedDirs are where profiles are, the one that counts first.
func tunedDirs() []string {
	return []string{"/etc/tuned/profiles", "/etc/tuned", "/usr/lib/tuned/profiles", "/usr/lib/tuned"}
}

// tuned reads the active profile of TuneD, and the profiles in /etc that are not
// active.
func (r *reader) tuned(files []sysctlFile) {
	text, there := r.read("/etc/tuned/active_profile")
	lost := ""
	if there && !r.enabled("tuned") {
		lost = "tuned.service is not enabled"
	}
	p := tunedProfile{reader: r, seen: map[string]bool{}, variables: map[string]string{}}
	names := strings.Fields(text)
	for _, name := range names[:min(len(names), maxIncludes)] {
		p.load(name)
	}
	if p.assign(lost) && lost == "" {
		r.tunedReapply(files)
	}
	for _, dir := range tunedDirs()[:2] {
		for _, name := range r.list(dir) {
			file := path.Join(dir, name, "tuned.conf")
			if !p.seen[file] && r.tree.Exists(file) {
				other := tunedProfile{reader: r, seen: p.seen, variables: map[string]string{}}
				other.file(file)
				other.assign("not the active profile")
			}
		}
	}
}

// tunedReapply is what TuneD does behind a profile's sysctls: the administrator's own
// sysctl files come again and win, unless reapply_sysctl is off.
func (r *reader) tunedReapply(files []sysctlFile) {
	for _, p := range r.ini("/etc/tuned/tuned-main.conf", "=") {
		if p.name == "reapply_sysctl" && slices.Contains([]string{"0", "false", "no", "off"}, strings.ToLower(p.value)) {
			return
		}
	}
	var lines []sysctlLine
	for _, f := range files {
		if dir := path.Dir(f.path); f.hidden == "" && (dir == "/etc/sysctl.d" || dir == "/run/sysctl.d" || f.path == sysctlConf) {
			lines = append(lines, f.lines...)
		}
	}
	lines = slices.DeleteFunc(lines, func(l sysctlLine) bool { return l.dash || isGlob(l.name) })
	r.apply(sysctlRun{by: "tuned", phase: AtTunedProfile}, lines)
}

// tunedProfile is one or more profiles, merged with what they include.
type tunedProfile struct {
	*reader
	seen      map[string]bool
	pairs     []pair
	variables map[string]string
	types     map[string]string // section → its type, where it is not its name
}

func (p *tunedProfile) load(name string) {
	for _, dir := range tunedDirs() {
		file := path.Join(dir, path.Base(name), "tuned.conf")
		if !p.tree.Gone(file) {
			p.file(file)
			return
		}
	}
}

// file adds a profile behind those that it includes, each once.
func (p *tunedProfile) file(file string) {
	if p.seen[file] || len(p.seen) > maxIncludes {
		return
	}
	p.seen[file] = true
	pairs := p.ini(file, "=")
	for _, pair := range pairs {
		if pair.section == "variables" && len(p.variables) < maxVariables && len(pair.value) < maxValue {
			p.variables[pair.name] = pair.value
		}
	}
	for _, pair := range pairs {
		if pair.section == "main" && pair.name == "include" {
			for name := range strings.FieldsFuncSeq(p.expand(pair.value), func(c rune) bool { return strings.ContainsRune(" \t,;", c) }) {
				p.load(name)
			}
		}
	}
	p.pairs = append(p.pairs, pairs...)
}

// expand puts in the variables that a profile gives. Functions (${f:…}) stay as
// they are written: what they come to TuneD alone knows.
func (p *tunedProfile) expand(value string) string {
	for _, name := range slices.Sorted(maps.Keys(p.variables)) {
		if len(value) < maxValue {
			value = strings.ReplaceAll(value, "${"+name+"}", p.variables[name])
		}
	}
	return value
}

// assign adds what the profile sets, and reports whether it sets any sysctl at
// all.
func (p *tunedProfile) assign(lost string) bool {
	p.types = map[string]string{}
	for _, pair := range p.pairs {
		if pair.name == "type" {
			p.types[pair.section] = pair.value
		}
	}
	any := false
	for _, pair := range p.pairs {
		kind := pair.section
		if named, ok := p.types[kind]; ok {
			kind = named
		}
		value := strings.Trim(p.expand(pair.value), `"'`)
		switch {
		case kind == "sysctl":
			any = any || pair.name != "type"
			p.value(pair, sysctlName(pair.name), value, lost)
		case kind == "sysfs" && pair.name == hashsizeFile:
			p.value(pair, "net/netfilter/nf_conntrack_buckets", value, lost)
		case kind == "modules" && strings.ReplaceAll(pair.name, "-", "_") == "nf_conntrack":
			p.parameters(pair, value, lost)
		}
	}
	return any
}

// value adds one value; ">" before it raises only, "<" lowers only.
func (p *tunedProfile) value(at pair, name, value, lost string) {
	setting, never, ok := p.setting(name)
	if !ok {
		return
	}
	if never != "" {
		lost = never
	}
	a := Assignment{Place: at.Place, Name: setting, Key: at.name, Value: value, Tool: "tuned", Phase: AtTunedProfile, NoEffect: lost}
	if rest, found := strings.CutPrefix(value, ">"); found {
		a.Value, a.AtLeast = strings.TrimSpace(rest), true
	} else if rest, found := strings.CutPrefix(value, "<"); found {
		a.Value, a.AtMost = strings.TrimSpace(rest), true
	}
	p.add(a)
}

// parameters adds the load-time parameters of the section [modules], which TuneD
// writes to modprobe.d.
func (p *tunedProfile) parameters(at pair, value, lost string) {
	for word := range strings.FieldsSeq(strings.TrimPrefix(value, "+r")) {
		name, value, _ := strings.Cut(word, "=")
		p.add(Assignment{
			Place: tree.Place{File: at.File, Line: at.Line}, Name: name, Parameter: true, Key: name,
			Value: value, Tool: "tuned", Phase: AtModuleLoad, NoEffect: lost,
		})
	}
}

package inventory

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/kmod"
)

const (
	// Limits of a profile: the profiles that it includes, its variables, and the bytes of a value
	// with its variables expanded.
	maxIncludes  = 40
	maxVariables = 100
	maxValue     = 4096
)

// tunedDirs are the directories of profiles, by precedence.
func tunedDirs() []string {
	return []string{"/etc/tuned/profiles", "/etc/tuned", "/usr/lib/tuned/profiles", "/usr/lib/tuned"}
}

// readTuned reads the active profile of TuneD, and the profiles in /etc that are not
// active.
func (r *reader) readTuned() {
	text, there := r.read("/etc/tuned/active_profile")
	noEffect := ""
	if there && !r.isEnabled("tuned") {
		noEffect = "tuned.service is not enabled"
	}
	p := tunedProfile{reader: r, seen: map[string]bool{}, variables: map[string]string{}}
	names := strings.Fields(text)
	for _, name := range names[:min(len(names), maxIncludes)] {
		p.load(name)
	}
	if p.addAll(noEffect) && noEffect == "" {
		r.reapplySysctl()
	}
	for _, dir := range tunedDirs()[:2] {
		for _, name := range r.list(dir) {
			file := path.Join(dir, name, "tuned.conf")
			if !p.seen[file] && r.tree.Exists(file) {
				other := tunedProfile{reader: r, seen: p.seen, variables: map[string]string{}}
				other.loadFile(file)
				other.addAll("not the active profile")
			}
		}
	}
}

// reapplySysctl adds what TuneD sets after the sysctls of a profile: it applies the administrator's
// own sysctl files again, unless reapply_sysctl is off.
func (r *reader) reapplySysctl() {
	off := []string{"0", "false", "no", "off"}
	for _, p := range r.iniPairs("/etc/tuned/tuned-main.conf") {
		if p.name == "reapply_sysctl" && slices.Contains(off, strings.ToLower(p.value)) {
			return
		}
	}
	var lines []sysctlLine
	for _, f := range r.sysctls {
		dir := path.Dir(f.Path)
		if f.HiddenBy == "" && (dir == "/etc/sysctl.d" || dir == "/run/sysctl.d" || f.Path == sysctlConf) {
			lines = append(lines, f.lines...)
		}
	}
	lines = slices.DeleteFunc(lines, func(l sysctlLine) bool { return l.dash || isGlob(l.name) })
	r.applySysctl(sysctlRun{tool: "tuned", phase: AtTunedProfile}, lines)
}

// tunedProfile is one or more profiles, merged with what they include.
type tunedProfile struct {
	*reader
	seen      map[string]bool
	pairs     []pair
	variables map[string]string
	types     map[string]string // by section, if its type is not its name
}

// load adds the profile of a name, from the first directory that has it.
func (p *tunedProfile) load(name string) {
	for _, dir := range tunedDirs() {
		file := path.Join(dir, path.Base(name), "tuned.conf")
		if !p.tree.Gone(file) {
			p.loadFile(file)
			return
		}
	}
}

// loadFile adds a profile after those that it includes, each once.
func (p *tunedProfile) loadFile(file string) {
	if p.seen[file] || len(p.seen) > maxIncludes {
		return
	}
	p.seen[file] = true
	pairs := p.iniPairs(file)
	for _, pair := range pairs {
		if pair.section == "variables" && len(p.variables) < maxVariables && len(pair.value) < maxValue {
			p.variables[pair.name] = pair.value
		}
	}
	for _, pair := range pairs {
		if pair.section == "main" && pair.name == "include" {
			isSeparator := func(c rune) bool { return strings.ContainsRune(" \t,;", c) }
			for name := range strings.FieldsFuncSeq(p.expand(pair.value), isSeparator) {
				p.load(name)
			}
		}
	}
	p.pairs = append(p.pairs, pairs...)
}

// expand replaces the variables of the profile. Functions (${f:…}) stay as they are written: only
// TuneD can evaluate them.
func (p *tunedProfile) expand(value string) string {
	for _, name := range slices.Sorted(maps.Keys(p.variables)) {
		if len(value) < maxValue {
			value = strings.ReplaceAll(value, "${"+name+"}", p.variables[name])
		}
	}
	return value
}

// addAll adds what the profile sets, and reports whether it sets any sysctl at all.
func (p *tunedProfile) addAll(noEffect string) bool {
	p.types = map[string]string{}
	for _, pair := range p.pairs {
		if pair.name == "type" {
			p.types[pair.section] = pair.value
		}
	}
	setsSysctl := false
	for _, pair := range p.pairs {
		kind := pair.section
		if named, ok := p.types[kind]; ok {
			kind = named
		}
		value := strings.Trim(p.expand(pair.value), `"'`)
		switch {
		case kind == "sysctl":
			setsSysctl = setsSysctl || pair.name != "type"
			p.addValue(pair, sysctlName(pair.name), value, noEffect)
		case kind == "sysfs" && pair.name == hashsizeFile:
			p.addValue(pair, "net/netfilter/nf_conntrack_buckets", value, noEffect)
		case kind == "modules" && kmod.NormalizeName(pair.name) == kmod.Conntrack:
			p.addParameters(pair, value, noEffect)
		}
	}
	return setsSysctl
}

// addValue adds one value; ">" before it raises only, "<" lowers only.
func (p *tunedProfile) addValue(at pair, name, value, noEffect string) {
	setting, never, ok := p.setting(name)
	if !ok {
		return
	}
	if never != "" {
		noEffect = never
	}
	a := Assignment{
		Place: at.Place, Name: setting, Key: at.name, Value: value,
		Tool: "tuned", Phase: AtTunedProfile, NoEffect: noEffect,
	}
	if rest, found := strings.CutPrefix(value, ">"); found {
		a.Value, a.AtLeast = strings.TrimSpace(rest), true
	} else if rest, found := strings.CutPrefix(value, "<"); found {
		a.Value, a.AtMost = strings.TrimSpace(rest), true
	}
	p.addAssignment(a)
}

// addParameters adds the load-time parameters in the section [modules], which TuneD writes to
// modprobe.d.
func (p *tunedProfile) addParameters(at pair, value, noEffect string) {
	for word := range strings.FieldsSeq(strings.TrimPrefix(value, "+r")) {
		name, value, _ := strings.Cut(word, "=")
		p.addAssignment(Assignment{
			Place: at.Place, Name: name, Parameter: true, Key: name, Value: value,
			Tool: "tuned", Phase: AtModuleLoad, NoEffect: noEffect,
		})
	}
}

package inventory

import (
	"path"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/pattern"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
)

const (
	// Limits of a profile: the profiles that it includes, its variables, and the bytes of a value
	// with its variables expanded.
	maxIncludes  = 40
	maxVariables = 100
	maxValue     = 4096
)

// readTuned reads the active profile of TuneD, and the profiles in /etc that are not active. Without
// an active profile TuneD chooses one by its own rules (tuned-adm recommend).
func (r *reader) readTuned() {
	main := map[string]string{}
	for _, p := range r.iniPairs("/etc/tuned/tuned-main.conf") {
		main[p.name] = p.value
	}
	dirs := tunedDirs(main["profile_dirs"])
	active, there := r.read("/etc/tuned/active_profile")
	more, _ := r.read("/etc/tuned/post_loaded_profile") // applied after the active one
	names := strings.Fields(active + " " + more)
	enabled := r.isEnabled("tuned")
	p := newTunedProfile(r, dirs)
	if there && !enabled {
		p.noEffect = "tuned.service is not enabled"
	}
	for _, name := range names[:min(len(names), maxIncludes)] {
		p.load(name, "")
	}
	if p.addAll() && p.noEffect == "" {
		r.reapplySysctl(main)
	}
	for _, dir := range dirs {
		if !strings.HasPrefix(dir, "/etc/") {
			continue
		}
		for _, name := range r.list(dir) {
			file := path.Join(dir, name, "tuned.conf")
			if p.seen[file] || !r.tree.Exists(file) {
				continue
			}
			other := newTunedProfile(r, dirs)
			other.seen = p.seen
			if len(names) == 0 && enabled && r.hasTuned() {
				other.uncertain = "TuneD chooses the profile itself: /etc/tuned/active_profile names none"
			} else {
				other.noEffect = "not the active profile"
			}
			other.loadFile(file, "")
			other.addAll()
		}
	}
}

// tunedDirs returns the directories of profiles, by precedence. The option profile_dirs names them in
// the opposite order; its default has the directories profiles since TuneD 2.23 (consts.py).
func tunedDirs(option string) []string {
	isSeparator := func(c rune) bool { return strings.ContainsRune(" \t,;", c) }
	if dirs := strings.FieldsFunc(option, isSeparator); len(dirs) > 0 {
		slices.Reverse(dirs)
		return dirs[:min(len(dirs), maxIncludes)]
	}
	return []string{"/etc/tuned/profiles", "/etc/tuned", "/usr/lib/tuned/profiles", "/usr/lib/tuned"}
}

// hasTuned reports whether TuneD's daemon is installed.
func (r *reader) hasTuned() bool {
	return slices.ContainsFunc([]string{
		"/usr/sbin/tuned", "/usr/bin/tuned",
		"/usr/lib/systemd/system/tuned.service", "/lib/systemd/system/tuned.service",
	}, r.tree.Exists)
}

// reapplySysctl adds what TuneD sets after the sysctls of a profile: it applies the administrator's
// own sysctl files again, unless reapply_sysctl is off. It leaves out the keys that a pattern of
// reapply_sysctl_exclude matches (since 2.27).
func (r *reader) reapplySysctl(main map[string]string) {
	if isFalse(main["reapply_sysctl"]) {
		return
	}
	isSeparator := func(c rune) bool { return strings.ContainsRune(" \t,;", c) }
	excluded := strings.FieldsFunc(main["reapply_sysctl_exclude"], isSeparator)
	var lines []sysctlLine
	for _, f := range r.sysctls {
		dir := path.Dir(f.Path)
		if f.HiddenBy == "" && (dir == "/etc/sysctl.d" || dir == "/run/sysctl.d" || f.Path == sysctlConf) {
			lines = append(lines, f.lines...)
		}
	}
	lines = slices.DeleteFunc(lines, func(l sysctlLine) bool {
		return l.dash || isGlob(l.name) || slices.ContainsFunc(excluded, func(pattern string) bool {
			ok, _ := path.Match(pattern, l.key)
			return ok
		})
	})
	r.applySysctl(sysctlRun{tool: "tuned", phase: AtTunedProfile}, lines)
}

// isFalse reports whether TuneD reads an option's value as no.
func isFalse(value string) bool {
	return slices.Contains([]string{"0", "false", "no", "off"}, strings.ToLower(value))
}

// tunedProfile is one or more profiles, merged with what they include.
type tunedProfile struct {
	*reader
	dirs []string
	seen map[string]bool
	// noEffect and uncertain are those of all assignments of the profile.
	noEffect, uncertain string
	options             []tunedOption
	variables           map[string]string
	units               map[string]tunedUnit // by section
}

// tunedOption is one option of a profile.
type tunedOption struct {
	pair
	// uncertain is why it is not known whether the profile is included, or "".
	uncertain string
	// dir is the directory of the profile.
	dir string
}

// tunedUnit has the special options of a section. Those of the last profile that has the section count
// (merger.py).
type tunedUnit struct {
	kind     string
	disabled bool
	replaced tree.Place // the last line replace=1, which drops the options of earlier profiles
}

func newTunedProfile(r *reader, dirs []string) *tunedProfile {
	return &tunedProfile{
		reader: r, dirs: dirs, seen: map[string]bool{}, variables: map[string]string{}, units: map[string]tunedUnit{},
	}
}

// find returns the file of the profile of a name, or "": that of the first directory that has one
// which is not loaded yet. A profile in /etc may so include the one of the same name in /usr/lib
// (locator.py).
func (p *tunedProfile) find(name string) string {
	for _, dir := range p.dirs {
		file := path.Join(dir, path.Base(name), "tuned.conf")
		if !p.seen[file] && !p.tree.Gone(file) {
			return file
		}
	}
	return ""
}

// load adds the profile of a name. A "-" before it means that it may be missing.
func (p *tunedProfile) load(name, uncertain string) {
	if file := p.find(strings.TrimPrefix(name, "-")); file != "" {
		p.loadFile(file, uncertain)
	}
}

// loadFile adds a profile after those that it includes, each once.
func (p *tunedProfile) loadFile(file, uncertain string) {
	if p.seen[file] || len(p.seen) > maxIncludes {
		return
	}
	p.seen[file] = true
	pairs := p.iniPairs(file)
	p.setVariables(pairs)
	for _, pair := range pairs {
		if pair.section == "main" && pair.name == "include" {
			p.include(p.expand(pair.value), uncertain)
		}
	}
	p.setVariables(pairs) // they override those of the included profiles
	units := map[string]tunedUnit{}
	for _, pair := range pairs {
		unit := units[pair.section]
		switch pair.name {
		case "type":
			unit.kind = pair.value
		case "enabled":
			unit.disabled = isFalse(pair.value)
		case "replace":
			if !isFalse(pair.value) {
				unit.replaced = pair.Place
			}
		default:
			p.options = append(p.options, tunedOption{pair, uncertain, path.Dir(file)})
		}
		units[pair.section] = unit
	}
	for section, unit := range units {
		if unit.replaced.File == "" {
			unit.replaced = p.units[section].replaced
		}
		p.units[section] = unit
	}
}

// include adds the profiles that an option include names. If TuneD computes the name with a function
// (${f:virt_check:virtual-guest:network-throughput}), any argument may be it.
func (p *tunedProfile) include(names, uncertain string) {
	if strings.Contains(names, "$") {
		uncertain = "only if TuneD includes the profile: " + names
	}
	isSeparator := func(c rune) bool { return strings.ContainsRune(" \t,;:${}", c) }
	for name := range strings.FieldsFuncSeq(names, isSeparator) {
		p.load(name, uncertain)
	}
}

// setVariables sets the variables of a profile, and those of the file that its include names: there
// they stand with or without a section (variables.py). Before 2.21 the file had to be absolute.
func (p *tunedProfile) setVariables(pairs []pair) {
	set := func(v pair) {
		if len(p.variables) < maxVariables && len(v.value) < maxValue {
			p.variables[v.name] = strings.Trim(p.expand(v.value), `"'`)
		}
	}
	for _, v := range pairs {
		switch {
		case v.section != "variables":
		case v.name == "include":
			dir := path.Dir(v.File)
			for _, included := range p.iniPairs(absolute(p.expandDir(p.expand(v.value), dir), dir)) {
				set(included)
			}
		default:
			set(v)
		}
	}
}

// tunedVariable is a use of a variable in a value.
var tunedVariable = pattern.New(`\$\{(\w+)\}`)

// expand replaces the variables of the profile. Functions (${f:…}) stay as they are written: only
// TuneD can evaluate them.
func (p *tunedProfile) expand(value string) string {
	value = tunedVariable.ReplaceAllStringFunc(value, func(use string) string {
		if set, there := p.variables[use[2:len(use)-1]]; there {
			return set
		}
		return use
	})
	return value[:min(len(value), maxValue)]
}

// expandDir replaces ${i:PROFILE_DIR}.
func (p *tunedProfile) expandDir(value, dir string) string {
	return strings.ReplaceAll(value, "${i:PROFILE_DIR}", dir)
}

// absolute returns the path of a file that a profile in dir names.
func absolute(file, dir string) string {
	if path.IsAbs(file) {
		return file
	}
	return path.Join(dir, file)
}

// addAll adds what the profile sets, and reports whether it sets any sysctl at all.
func (p *tunedProfile) addAll() bool {
	setsSysctl := false
	dropped := p.dropped()
	for i, option := range p.options {
		unit := p.units[option.section]
		kind := unit.kind
		if kind == "" {
			kind = option.section
		}
		noEffect := p.noEffect
		switch {
		case noEffect != "":
		case unit.disabled:
			noEffect = "the section [" + option.section + "] is not enabled"
		case dropped[i]:
			noEffect = unit.replaced.String() + " replaces the section [" + option.section + "]"
		}
		value := strings.Trim(p.expand(p.expandDir(option.value, option.dir)), `"'`)
		setsSysctl = setsSysctl || kind == "sysctl" && noEffect == ""
		p.addOption(kind, option, value, noEffect)
	}
	return setsSysctl
}

// dropped reports for each option whether a later profile replaces its section.
func (p *tunedProfile) dropped() []bool {
	dropped := make([]bool, len(p.options))
	reached := map[string]bool{}
	for i, option := range slices.Backward(p.options) {
		file := p.units[option.section].replaced.File
		reached[option.section] = reached[option.section] || option.File == file
		dropped[i] = file != "" && reached[option.section] && option.File != file
	}
	return dropped
}

// addOption adds what one option of a section of this kind sets.
func (p *tunedProfile) addOption(kind string, option tunedOption, value, noEffect string) {
	switch {
	case kind == "sysctl":
		p.addValue(option, sysctlName(option.name), value, noEffect)
	case kind == "sysfs" && option.name == hashsizeFile, kind == "net" && option.name == "nf_conntrack_hashsize":
		p.addValue(option, "net/netfilter/nf_conntrack_buckets", value, noEffect)
	case kind == "modules" && kmod.NormalizeName(option.name) == kmod.Conntrack:
		p.addParameters(option, value, noEffect)
	case kind == "script" && option.name == "script" && p.doubt(option, value) == "":
		if text, ok := p.read(absolute(value, option.dir)); ok {
			file := tree.Place{File: absolute(value, option.dir)}
			p.addScript(script{Place: file, tool: "tuned", phase: AtTunedProfile, noEffect: noEffect}, text)
		}
	}
}

// addValue adds one value; ">" before it raises only, "<" lowers only.
func (p *tunedProfile) addValue(at tunedOption, name, value, noEffect string) {
	setting, never, ok := p.setting(name)
	if !ok {
		return
	}
	if never != "" {
		noEffect = never
	}
	a := Assignment{
		Place: at.Place, Name: setting, Key: at.name, Value: value,
		Tool: "tuned", Phase: AtTunedProfile, Uncertain: p.doubt(at, value), NoEffect: noEffect,
	}
	if rest, found := strings.CutPrefix(value, ">"); found {
		a.Value, a.AtLeast = strings.TrimSpace(rest), true
	} else if rest, found := strings.CutPrefix(value, "<"); found {
		a.Value, a.AtMost = strings.TrimSpace(rest), true
	}
	p.addExpanded(a)
}

// doubt returns why it is not known whether TuneD sets this value, or "".
func (p *tunedProfile) doubt(option tunedOption, value string) string {
	switch {
	case p.uncertain != "":
		return p.uncertain
	case option.uncertain != "":
		return option.uncertain
	case strings.Contains(value, "$"):
		return "TuneD computes the value: " + value
	}
	return ""
}

// addParameters adds the load-time parameters in the section [modules], which TuneD writes to
// modprobe.d.
func (p *tunedProfile) addParameters(at tunedOption, value, noEffect string) {
	for word := range strings.FieldsSeq(strings.TrimPrefix(value, "+r")) {
		name, value, _ := strings.Cut(word, "=")
		p.addExpanded(Assignment{
			Place: at.Place, Name: name, Parameter: true, Key: name, Value: value,
			Tool: "tuned", Phase: AtModuleLoad, Uncertain: p.doubt(at, value), NoEffect: noEffect,
		})
	}
}

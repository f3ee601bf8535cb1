package inventory

import (
	"path"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/dropin"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

const sysctlConf = "/etc/sysctl.conf"

// sysctlLine is one line of a sysctl.d(5) or sysctl.conf(5) file.
type sysctlLine struct {
	tree.Place
	// text is the whole line. key is as written, without the "-" before it.
	text, key string
	// name is the path below /proc/sys.
	name  string
	value string
	// dash is true for "-key". bare is true for a line without "=", which excludes a key from the
	// patterns.
	dash, bare bool
}

type sysctlFile struct {
	dropin.File
	lines []sysctlLine
}

// parseSysctl reads the text of one file, by the rules of sysctl.d(5).
func parseSysctl(file, text string) ([]sysctlLine, []tree.Trouble) {
	var lines []sysctlLine
	var troubles []tree.Trouble
	for number, text := range numbered(text) {
		text = strings.TrimSpace(text)
		if text == "" || text[0] == '#' || text[0] == ';' {
			continue
		}
		line := sysctlLine{Place: tree.Place{File: file, Line: number}, text: text}
		text, line.dash = strings.CutPrefix(text, "-")
		key, value, assigned := strings.Cut(text, "=")
		line.key, line.value, line.bare = strings.TrimSpace(key), strings.TrimSpace(value), !assigned
		if line.key == "" || line.bare && !line.dash {
			troubles = append(troubles, tree.Trouble{Place: line.Place, Err: errNotAssignment})
			continue
		}
		line.name = sysctlName(line.key)
		lines = append(lines, line)
	}
	return lines, troubles
}

// sysctlLines is parseSysctl with the troubles added to the inventory.
func (r *reader) sysctlLines(file, text string) []sysctlLine {
	lines, troubles := parseSysctl(file, text)
	for _, t := range troubles {
		r.addTrouble(t.Place, t.Err)
	}
	return lines
}

// sysctlName returns the path of a key below /proc/sys. If its first separator is a slash, dots are
// part of the names; if it is a dot, dots and slashes are exchanged (sysctl.d(5)).
func sysctlName(key string) string {
	if i := strings.IndexAny(key, "./"); i >= 0 && key[i] == '.' {
		key = strings.Map(func(c rune) rune {
			switch c {
			case '.':
				return '/'
			case '/':
				return '.'
			}
			return c
		}, key)
	}
	return strings.TrimPrefix(path.Clean(key), "/")
}

// sysctlFiles returns the sysctl.d files of all directories in the order of their names, and
// /etc/sysctl.conf as the last. The place of a link to /etc/sysctl.conf is that file, which is the
// one that people edit.
func (r *reader) sysctlFiles() []sysctlFile {
	var files []sysctlFile
	for _, d := range append(r.dropins(".conf", dropin.Dirs("sysctl.d")...), dropin.File{Path: sysctlConf}) {
		if text, ok := r.read(d.Path); ok {
			file := d.Path
			if end, _, err := r.tree.Resolve(file); err == nil && end == sysctlConf {
				file = sysctlConf
			}
			files = append(files, sysctlFile{d, r.sysctlLines(file, text)})
		}
	}
	return files
}

// setting returns the name of the setting at a path below /proc/sys, and whether it is one of
// nf_conntrack. noEffect is why the key has no effect on any kernel that has the setting, or "".
func (r *reader) setting(name string) (setting, noEffect string, ok bool) {
	if _, missing := r.findKeyFault(name); missing {
		return "", "", false
	}
	if old, isOld := oldName(name); isOld {
		name = old
	}
	if !strings.HasPrefix(name, "net/netfilter/nf_conntrack_") && name != "net/nf_conntrack_max" {
		return "", "", false
	}
	s := sysfs.Lookup(name)
	if s == nil {
		return "", "", false
	}
	return s.Name, r.readOnlyKey(name), true
}

// oldName returns the present path of a key of ip_conntrack, the IPv4 tracker that nf_conntrack
// replaced.
func oldName(name string) (string, bool) {
	if name == "net/ipv4/ip_conntrack_max" {
		return "net/netfilter/nf_conntrack_max", true
	}
	rest, ok := strings.CutPrefix(name, "net/ipv4/netfilter/ip_conntrack_")
	return "net/netfilter/nf_conntrack_" + rest, ok
}

// hasOldKeys reports whether this kernel has the keys of ip_conntrack, or may have them
// (CONFIG_NF_CONNTRACK_PROC_COMPAT, which Linux 4.9 dropped).
func (r *reader) hasOldKeys() bool {
	if r.hasOld == nil {
		old := r.tree.Exists("/proc/sys/net/ipv4/netfilter/ip_conntrack_max") ||
			!r.showsAllKeys() && r.buildHasOldKeys()
		r.hasOld = &old
	}
	return *r.hasOld
}

// buildHasOldKeys reports the same by the kernel's build configuration, for when the module is not
// loaded.
func (r *reader) buildHasOldKeys() bool {
	config, err := r.tree.Read("/boot/config-"+r.release(), maxFile)
	if err != nil { // most kernels of that time were built with it
		before, known := kmod.IsBefore(r.release(), 4, 9)
		return before && known
	}
	return strings.Contains(string(config), "CONFIG_NF_CONNTRACK_PROC_COMPAT=y")
}

// matching returns the paths of the settings that a pattern matches: of those that this kernel has,
// or of all settings if the module is not loaded to show them.
func (r *reader) matching(pattern string) []string {
	if r.matchable == nil {
		loaded := r.tree.Exists("/proc/sys/net/netfilter/nf_conntrack_max")
		for _, s := range sysfs.Catalogue() {
			if !loaded || r.tree.Exists("/"+s.File()) {
				r.matchable = append(r.matchable, strings.TrimPrefix(s.File(), "proc/sys/"))
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(r.matchable), func(name string) bool {
		ok, _ := path.Match(pattern, name)
		return !ok
	})
}

func isGlob(name string) bool { return strings.ContainsAny(name, "*?[") }

// sysctlRun is one run of a program over lines of sysctl files.
type sysctlRun struct {
	tool  string
	phase Phase
	// uncertain is why it is not known whether it runs, or "".
	uncertain string
	// keepsFirst is true for systemd-sysctl: a key that is set twice to the same value keeps the
	// place in the order that it had first.
	keepsFirst bool
}

// applySysctl adds what a run over these lines sets.
func (r *reader) applySysctl(run sysctlRun, lines []sysctlLine) {
	explicit := map[string]bool{}
	for _, line := range lines {
		explicit[line.name] = explicit[line.name] || !isGlob(line.name)
	}
	first := map[string]sysctlLine{}
	for _, line := range lines {
		if line.bare {
			continue
		}
		if !isGlob(line.name) {
			before, twice := first[line.name]
			noEffect, overriddenBy := "", tree.Place{}
			if run.keepsFirst && twice && before.value == line.value {
				noEffect, overriddenBy = before.Place.String()+" sets the same value before", before.Place
			} else {
				first[line.name] = line
			}
			r.addSysctl(run, line, line.name, noEffect, overriddenBy)
			continue
		}
		if r.assignments[line.File] > maxAssignments {
			continue
		}
		for _, name := range r.matching(line.name) {
			if !explicit[name] {
				r.addSysctl(run, line, name, "", tree.Place{})
			}
		}
	}
}

// addSysctl adds the assignment of one line to the path name below /proc/sys, if it is one of our
// settings.
func (r *reader) addSysctl(run sysctlRun, line sysctlLine, name, noEffect string, overriddenBy tree.Place) {
	if r.assignments[line.File] > maxAssignments {
		return
	}
	setting, never, ok := r.setting(name)
	if !ok {
		r.hasKey(line.Place, line.key, name, line.value)
		return
	}
	if never != "" {
		noEffect = never
	}
	r.addAssignment(Assignment{
		Place: line.Place, Name: setting, Key: line.key, Value: line.value,
		Tool: run.tool, Phase: run.phase, Uncertain: run.uncertain, NoEffect: noEffect, OverriddenBy: overriddenBy,
	})
}

// linesOf returns the lines of the files that are not hidden.
func linesOf(files []sysctlFile) []sysctlLine {
	var lines []sysctlLine
	for _, f := range files {
		if f.HiddenBy == "" {
			lines = append(lines, f.lines...)
		}
	}
	return lines
}

// below returns the lines whose key is below one of the prefixes, as systemd-sysctl --prefix= does:
// it compares whole path components, and keeps patterns, which it sorts out later.
func below(lines []sysctlLine, prefixes []string) []sysctlLine {
	return slices.DeleteFunc(slices.Clone(lines), func(line sysctlLine) bool {
		return !slices.ContainsFunc(prefixes, func(prefix string) bool {
			prefix = strings.TrimPrefix(sysctlName(prefix), "proc/sys/")
			return isGlob(line.name) || line.name == prefix || strings.HasPrefix(line.name, prefix+"/")
		})
	})
}

package inventory

import (
	"path"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

const sysctlConf = "/etc/sysctl.conf"

// sysctlLine is one line of a sysctl.d(5) or sysctl.conf(5) file.
type sysctlLine struct {
	tree.Place
	// key is as written, without the "-" before it.
	key string
	// name is the path below /proc/sys.
	name  string
	value string
	// dash is true for "-key"; bare for a line without "=", which keeps a key from
	// being set by a pattern.
	dash, bare bool
}

// sysctlFile is one file, and why nobody reads it, or "".
type sysctlFile struct {
	dropin
	lines []sysctlLine
}

// parseSysctl reads the text of one file as sysctl.d(5) says.
func parseSysctl(file, text string) ([]sysctlLine, []tree.Trouble) {
	var lines []sysctlLine
	var troubles []tree.Trouble
	for number, text := range numbered(text) {
		text = strings.TrimSpace(text)
		if text == "" || text[0] == '#' || text[0] == ';' {
			continue
		}
		line := sysctlLine{Place: tree.Place{File: file, Line: number}}
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

// sysctlName gives the path below /proc/sys of a key. Where the first separator is
// a slash, dots are part of the names; where it is a dot, dots and slashes change
// places (sysctl.d(5)).
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

// sysctlFiles reads sysctl.d of all directories, in the order of their names, and
// behind them /etc/sysctl.conf.
func (r *reader) sysctlFiles() []sysctlFile {
	var files []sysctlFile
	for _, d := range append(r.dropins(".conf", configDirs("sysctl.d")...), dropin{path: sysctlConf}) {
		if text, ok := r.read(d.path); ok {
			lines, troubles := parseSysctl(r.named(d.path), text)
			for _, t := range troubles {
				r.trouble(t.Place, t.Err)
			}
			files = append(files, sysctlFile{d, lines})
		}
	}
	return files
}

// named is the file that people know: /etc/sysctl.conf for the link to it in
// sysctl.d.
func (r *reader) named(path string) string {
	if end, _, err := r.tree.Resolve(path); err == nil && end == sysctlConf {
		return sysctlConf
	}
	return path
}

// setting names the setting that a path below /proc/sys is, in the catalogue or of
// nf_conntrack at all. lost says why the key has no effect on any kernel that has
// the setting.
func (r *reader) setting(name string) (setting, lost string, ok bool) {
	old, isOld := oldName(name)
	if isOld {
		if !r.hasOldKeys() {
			lost = "kernels since 4.9 have no key of this name"
		}
		name = old
	}
	if !strings.HasPrefix(name, "net/netfilter/nf_conntrack_") && name != "net/nf_conntrack_max" {
		return "", "", false
	}
	s := sysfs.Lookup(name)
	switch {
	case s == nil:
		return "", "", false
	case sysfs.ReadOnly(strings.TrimPrefix(name, "net/netfilter/")):
		lost = "the kernel counts it: it cannot be set"
	}
	return s.Name, lost, true
}

// oldName gives today's path for a key of ip_conntrack, the IPv4 tracker that
// nf_conntrack took the place of.
func oldName(name string) (string, bool) {
	if name == "net/ipv4/ip_conntrack_max" {
		return "net/netfilter/nf_conntrack_max", true
	}
	rest, ok := strings.CutPrefix(name, "net/ipv4/netfilter/ip_conntrack_")
	return "net/netfilter/nf_conntrack_" + rest, ok
}

// hasOldKeys reports whether this kernel has the keys of ip_conntrack
// (CONFIG_NF_CONNTRACK_PROC_COMPAT, which Linux 4.9 dropped).
func (r *reader) hasOldKeys() bool {
	if r.old == nil {
		old := r.tree.Exists("/proc/sys/net/ipv4/netfilter/ip_conntrack_max") || r.hadOldKeys()
		r.old = &old
	}
	return *r.old
}

// hadOldKeys tells the same from the kernel's build configuration, for when the
// module is not there.
func (r *reader) hadOldKeys() bool {
	release, err := r.tree.Read("/proc/sys/kernel/osrelease", 256)
	if err != nil {
		return false
	}
	config, err := r.tree.Read("/boot/config-"+strings.TrimSpace(string(release)), maxFile)
	return err == nil && strings.Contains(string(config), "CONFIG_NF_CONNTRACK_PROC_COMPAT=y")
}

// matching gives the settings' paths that a pattern matches: those that this kernel
// has, or all where the module is not there to show them.
func (r *reader) matching(pattern string) []string {
	if r.present == nil {
		loaded := r.tree.Exists("/proc/sys/net/netfilter/nf_conntrack_max")
		for _, s := range sysfs.Catalogue() {
			if !loaded || r.tree.Exists("/"+s.File()) {
				r.present = append(r.present, strings.TrimPrefix(s.File(), "proc/sys/"))
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(r.present), func(name string) bool {
		ok, _ := path.Match(pattern, name)
		return !ok
	})
}

func isGlob(name string) bool { return strings.ContainsAny(name, "*?[") }

// sysctlRun is one run of a program over lines of sysctl files.
type sysctlRun struct {
	by    string
	phase Phase
	// unchanged is systemd-sysctl's way with a key that is given twice: where the
	// value is the same, the first one stays where it is in the order.
	unchanged bool
}

// apply adds what a run over these lines assigns.
func (r *reader) apply(run sysctlRun, lines []sysctlLine) {
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
			lost := ""
			if run.unchanged && twice && before.value == line.value {
				lost = before.Place.String() + " gives the same value before"
			} else {
				first[line.name] = line
			}
			r.assign(run, line, line.name, lost)
			continue
		}
		if r.right[line.File] > maxAssignments {
			continue
		}
		for _, name := range r.matching(line.name) {
			if !explicit[name] {
				r.assign(run, line, name, "")
			}
		}
	}
}

// assign adds one line's assignment to the setting at name, if it is one of ours.
func (r *reader) assign(run sysctlRun, line sysctlLine, name, lost string) {
	if r.right[line.File] > maxAssignments {
		return
	}
	setting, never, ok := r.setting(name)
	if !ok {
		return
	}
	if never != "" {
		lost = never
	}
	r.add(Assignment{Place: line.Place, Name: setting, Key: line.key, Value: line.value, Tool: run.by, Phase: run.phase, NoEffect: lost})
}

// linesOf gives the lines of the files that are read.
func linesOf(files []sysctlFile) []sysctlLine {
	var lines []sysctlLine
	for _, f := range files {
		if f.hidden == "" {
			lines = append(lines, f.lines...)
		}
	}
	return lines
}

// below keeps the lines whose key is below one of the prefixes, as systemd-sysctl
// --prefix= does: whole path components; and patterns, which it sorts out later.
func below(lines []sysctlLine, prefixes []string) []sysctlLine {
	return slices.DeleteFunc(slices.Clone(lines), func(line sysctlLine) bool {
		return !slices.ContainsFunc(prefixes, func(prefix string) bool {
			prefix = strings.TrimPrefix(sysctlName(prefix), "proc/sys/")
			return isGlob(line.name) || line.name == prefix || strings.HasPrefix(line.name, prefix+"/")
		})
	})
}

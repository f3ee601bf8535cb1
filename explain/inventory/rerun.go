package inventory

import (
	"regexp"
	"slices"
	"strings"
)

// rerun adds what a script applies of sysctl files once more.
func (r *reader) rerun(s script, lines []sysctlLine) {
	if s.lost == "" {
		r.apply(sysctlRun{by: s.by, phase: s.phase}, lines)
	}
}

// systemdSysctl is systemd-sysctl [--prefix=PATH] [FILE…].
func (r *reader) systemdSysctl(s script, args []string, files []sysctlFile) {
	var prefixes, named []string
	for _, arg := range args {
		if prefix, ok := strings.CutPrefix(arg, "--prefix="); ok {
			prefixes = append(prefixes, prefix)
		} else if !strings.HasPrefix(arg, "-") {
			named = append(named, arg)
		}
	}
	lines := linesOf(withoutConf(files))
	if len(named) > 0 {
		lines = nil
		for _, file := range named {
			lines = append(lines, r.linesIn(file, files)...)
		}
	}
	if len(prefixes) > 0 {
		lines = below(lines, prefixes)
	}
	if s.lost == "" {
		r.apply(sysctlRun{by: s.by, phase: s.phase, unchanged: true}, lines)
	}
}

// conf gives the lines of /etc/sysctl.conf.
func (r *reader) conf(files []sysctlFile) []sysctlLine { return r.linesIn(sysctlConf, files) }

// linesIn gives the lines of a file that a command names: a path, or a name in
// sysctl.d.
func (r *reader) linesIn(file string, files []sysctlFile) []sysctlLine {
	for _, f := range files {
		if f.hidden == "" && (f.path == file || !strings.Contains(file, "/") && strings.HasSuffix(f.path, "/"+file)) {
			return f.lines
		}
	}
	if !strings.HasPrefix(file, "/") || !plain(file) {
		return nil
	}
	text, _ := r.read(file)
	lines, troubles := parseSysctl(file, text)
	for _, t := range troubles {
		r.trouble(t.Place, t.Err)
	}
	return lines
}

// matchingLines keeps the lines whose key matches sysctl's --pattern, an extended
// regular expression. One that cannot be understood matches all.
func matchingLines(lines []sysctlLine, pattern string) []sysctlLine {
	match, err := regexp.CompilePOSIX(pattern)
	if pattern == "" || err != nil {
		return lines
	}
	return slices.DeleteFunc(slices.Clone(lines), func(line sysctlLine) bool { return !match.MatchString(line.key) })
}

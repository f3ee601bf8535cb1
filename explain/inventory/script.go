package inventory

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
)

const hashsizeFile = "/sys/module/nf_conntrack/parameters/hashsize"

// script is shell text that somebody runs.
type script struct {
	tree.Place
	// oneLine is true for text that stands in one line of another file.
	oneLine bool
	by      string
	phase   Phase
	lost    string
}

// shell adds what a script assigns with sysctl, systemd-sysctl, echo and modprobe,
// and gives the places where it loads nf_conntrack.
func (r *reader) shell(s script, text string, files []sysctlFile) (loads []tree.Place) {
	var before command
	for _, c := range parseShell(text) {
		at := s.Place
		if !s.oneLine {
			at.Line = c.line
		}
		name, args := c.program()
		switch name {
		case "sysctl":
			r.shellSysctl(s, at, args, files)
		case "systemd-sysctl":
			r.systemdSysctl(s, args, files)
		case "echo", "printf":
			r.shellWrite(s, at, args, c.file)
		case "tee":
			if from, values := before.program(); c.piped && (from == "echo" || from == "printf") && len(args) > 0 {
				r.shellWrite(s, at, values, args[len(args)-1])
			}
		case "modprobe":
			if r.shellModprobe(s, at, args) {
				loads = append(loads, at)
			}
		}
		before = c
	}
	return loads
}

// shellWrite is echo VALUE > FILE.
func (r *reader) shellWrite(s script, at tree.Place, args []string, file string) {
	var values []string
	for _, arg := range args {
		if !strings.HasPrefix(arg, "-") && arg != `%s\n` && arg != "%s" && arg != "%d" {
			values = append(values, strings.TrimSuffix(arg, `\n`))
		}
	}
	name, isSysctl := strings.CutPrefix(file, "/proc/sys/")
	if file == hashsizeFile {
		name, isSysctl = "net/netfilter/nf_conntrack_buckets", true
	}
	if isSysctl {
		r.shellAssign(s, at, file, path.Clean(name), strings.Join(values, " "))
	}
}

func (r *reader) shellAssign(s script, at tree.Place, key, name, value string) {
	if setting, lost, ok := r.setting(name); ok {
		if s.lost != "" {
			lost = s.lost
		}
		r.add(Assignment{Place: at, Name: setting, Key: key, Value: value, Tool: s.by, Phase: s.phase, NoEffect: lost})
	}
}

// shellSysctl is sysctl(8): KEY=VALUE, -p FILE…, --system.
func (r *reader) shellSysctl(s script, at tree.Place, args []string, files []sysctlFile) {
	var load, system bool
	var named []string
	pattern := ""
	for i := 0; i < len(args); i++ {
		arg := args[i]
		value, joined := strings.CutPrefix(arg, "--pattern=")
		switch {
		case joined:
			pattern = value
		case (arg == "--pattern" || arg == "-r") && i+1 < len(args):
			i++
			pattern = args[i]
		case arg == "--system":
			system = true
		case arg == "--load" || strings.HasPrefix(arg, "-") && !strings.HasPrefix(arg, "--") && strings.ContainsAny(arg, "pf"):
			load = true
			if _, file, ok := strings.Cut(strings.ReplaceAll(arg, "f", "p"), "p"); ok && strings.HasPrefix(file, "/") {
				named = append(named, arg[strings.IndexAny(arg, "pf")+1:])
			}
		case strings.HasPrefix(arg, "-"):
		case load:
			named = append(named, arg)
		default:
			if key, value, ok := strings.Cut(arg, "="); ok {
				r.shellAssign(s, at, key, sysctlName(key), value)
			}
		}
	}
	switch {
	case system:
		r.rerun(s, matchingLines(linesOf(files), pattern))
	case load && len(named) == 0:
		r.rerun(s, r.conf(files))
	case load:
		for _, file := range named {
			r.rerun(s, r.linesIn(file, files))
		}
	}
}

// shellModprobe is modprobe nf_conntrack [PARAMETER=VALUE…]. It reports whether it
// loads the module.
func (r *reader) shellModprobe(s script, at tree.Place, args []string) bool {
	loads, itself := false, false
	for _, arg := range args {
		key, value, assigned := strings.Cut(arg, "=")
		switch {
		case arg == "-r" || arg == "--remove":
			return false
		case strings.HasPrefix(arg, "-"):
		case !assigned && bringsConntrack(arg):
			loads = true
			itself = itself || strings.ReplaceAll(arg, "-", "_") == kmod.Conntrack
		case assigned && itself:
			r.add(Assignment{Place: at, Name: key, Parameter: true, Key: key, Value: value, Tool: s.by, Phase: AtModuleLoad, NoEffect: s.lost})
		}
	}
	return loads && s.lost == ""
}

// plain reports whether a word has nothing in it that a shell works out.
func plain(word string) bool {
	return !strings.ContainsFunc(word, func(c rune) bool { return c == '$' || c == '`' || unicode.IsSpace(c) })
}

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

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

// script is shell text that a tool runs.
type script struct {
	tree.Place
	// oneLine is true for text that is part of one line of another file.
	oneLine bool
	tool    string
	phase   Phase
	// noEffect is why the tool does not run the script, or "".
	noEffect string
}

// addScript adds what a script sets with sysctl, systemd-sysctl, echo and modprobe. It returns the
// places where it loads nf_conntrack.
func (r *reader) addScript(s script, text string) (loads []tree.Place) {
	var before command
	for _, c := range parseShell(text) {
		at := s.Place
		if !s.oneLine {
			at.Line = c.line
		}
		name, args := c.program()
		switch name {
		case "sysctl":
			r.addSysctlCommand(s, at, args)
		case "systemd-sysctl":
			r.addSystemdSysctlCommand(s, args)
		case "echo", "printf":
			r.addWrite(s, at, args, c.file)
		case "tee":
			if from, values := before.program(); c.piped && (from == "echo" || from == "printf") && len(args) > 0 {
				r.addWrite(s, at, values, args[len(args)-1])
			}
		case "modprobe":
			if r.addModprobeCommand(s, at, args) {
				loads = append(loads, at)
			}
		}
		before = c
	}
	return loads
}

// addWrite adds echo VALUE > FILE.
func (r *reader) addWrite(s script, at tree.Place, args []string, file string) {
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
		r.addScriptSysctl(s, at, file, path.Clean(name), strings.Join(values, " "))
	}
}

// addScriptSysctl adds a value for the path name below /proc/sys, if it is one of our settings.
func (r *reader) addScriptSysctl(s script, at tree.Place, key, name, value string) {
	if setting, noEffect, ok := r.setting(name); !ok {
		r.hasKey(at, key, name, value)
	} else {
		if key == hashsizeFile {
			noEffect = "" // of all kernels
		}
		if s.noEffect != "" {
			noEffect = s.noEffect
		}
		r.addExpanded(Assignment{
			Place: at, Name: setting, Key: key, Value: value, Tool: s.tool, Phase: s.phase, NoEffect: noEffect,
		})
	}
}

// addSysctlCommand adds what sysctl(8) sets: KEY=VALUE, -p FILE…, --system.
func (r *reader) addSysctlCommand(s script, at tree.Place, args []string) {
	var load, system bool
	var named []string
	pattern := ""
	for i := 0; i < len(args); i++ {
		arg := args[i]
		value, joined := strings.CutPrefix(arg, "--pattern=")
		short := strings.HasPrefix(arg, "-") && !strings.HasPrefix(arg, "--")
		switch {
		case joined:
			pattern = value
		case (arg == "--pattern" || arg == "-r") && i+1 < len(args):
			i++
			pattern = args[i]
		case arg == "--system":
			system = true
		case arg == "--load" || short && strings.ContainsAny(arg, "pf"):
			load = true
			if file := arg[strings.IndexAny(arg, "pf")+1:]; short && strings.HasPrefix(file, "/") {
				named = append(named, file)
			}
		case strings.HasPrefix(arg, "-"):
		case load:
			named = append(named, arg)
		default:
			if key, value, ok := strings.Cut(arg, "="); ok {
				r.addScriptSysctl(s, at, key, sysctlName(key), value)
			}
		}
	}
	if load && len(named) == 0 {
		named = []string{sysctlConf}
	}
	var lines []sysctlLine
	if system {
		lines, named = matchingLines(linesOf(r.sysctls), pattern), nil
	}
	for _, file := range named {
		lines = append(lines, r.linesIn(file)...)
	}
	if s.noEffect == "" {
		r.applySysctl(sysctlRun{tool: s.tool, phase: s.phase}, lines)
	}
}

// addSystemdSysctlCommand adds what systemd-sysctl [--prefix=PATH] [FILE…] sets.
func (r *reader) addSystemdSysctlCommand(s script, args []string) {
	var prefixes, named []string
	for _, arg := range args {
		if prefix, ok := strings.CutPrefix(arg, "--prefix="); ok {
			prefixes = append(prefixes, prefix)
		} else if !strings.HasPrefix(arg, "-") {
			named = append(named, arg)
		}
	}
	lines := linesOf(withoutSysctlConf(r.sysctls))
	if len(named) > 0 {
		lines = nil
		for _, file := range named {
			lines = append(lines, r.linesIn(file)...)
		}
	}
	if len(prefixes) > 0 {
		lines = below(lines, prefixes)
	}
	if s.noEffect == "" {
		r.applySysctl(sysctlRun{tool: s.tool, phase: s.phase, keepsFirst: true}, lines)
	}
}

// linesIn returns the lines of a file that a command names: by its path, or by its name in sysctl.d.
func (r *reader) linesIn(file string) []sysctlLine {
	for _, f := range r.sysctls {
		isNamed := f.Path == file || !strings.Contains(file, "/") && strings.HasSuffix(f.Path, "/"+file)
		if isNamed && f.HiddenBy == "" {
			return f.lines
		}
	}
	isExpanded := strings.ContainsFunc(file, func(c rune) bool { return c == '$' || c == '`' || unicode.IsSpace(c) })
	if !strings.HasPrefix(file, "/") || isExpanded {
		return nil
	}
	text, _ := r.read(file)
	return r.sysctlLines(file, text)
}

// matchingLines returns the lines whose key matches sysctl's --pattern, an extended regular
// expression. An invalid pattern matches every line.
func matchingLines(lines []sysctlLine, pattern string) []sysctlLine {
	match, err := regexp.CompilePOSIX(pattern)
	if pattern == "" || err != nil {
		return lines
	}
	return slices.DeleteFunc(slices.Clone(lines), func(line sysctlLine) bool { return !match.MatchString(line.key) })
}

// addModprobeCommand adds the parameters of modprobe nf_conntrack [PARAMETER=VALUE…]. It reports
// whether the command loads nf_conntrack.
func (r *reader) addModprobeCommand(s script, at tree.Place, args []string) bool {
	loads, itself := false, false
	for _, arg := range args {
		key, value, assigned := strings.Cut(arg, "=")
		switch {
		case arg == "-r" || arg == "--remove":
			return false
		case strings.HasPrefix(arg, "-"):
		case !assigned && r.commandLoads(arg):
			loads = true
			itself = itself || kmod.NormalizeName(arg) == kmod.Conntrack
		case assigned && itself:
			r.addExpanded(Assignment{
				Place: at, Name: key, Parameter: true, Key: key, Value: value,
				Tool: s.tool, Phase: AtModuleLoad, NoEffect: s.noEffect,
			})
		}
	}
	return loads && s.noEffect == ""
}

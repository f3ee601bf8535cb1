package inventory

import (
	"bytes"
	"cmp"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
)

const hashsizeFile = "/sys/module/nf_conntrack/parameters/hashsize"

const (
	// maxScriptFile limits the size of a script that is read, in bytes: programs are longer.
	maxScriptFile = 256 << 10
	// maxScripts limits the scripts that are followed on one host.
	maxScripts = 1000
)

// noInterpreter is what execve(2) answers with ENOEXEC. A shell that runs the file reads it itself; systemd
// does not.
const noInterpreter = "the file has no #! line: systemd cannot run it"

// script is shell text that a tool runs.
type script struct {
	tree.Place
	// oneLine is true for text that is part of one line of another file.
	oneLine bool
	tool    string
	phase   Phase
	// noEffect is why the tool does not run the script, or "". uncertain is why that is not known.
	noEffect, uncertain string
	// args are its arguments, nil if they are not known. vars are variables that are set when it starts.
	args []string
	vars map[string]string
	// function is one that the tool calls after the script: "start" of an OpenRC script.
	function string
	// depth counts the scripts that run this one.
	depth int
}

// addScript adds what a script sets with sysctl, systemd-sysctl, echo and modprobe, and what the
// scripts that it runs set. It returns the places where it loads nf_conntrack.
func (r *reader) addScript(s script, text string) (loads []tree.Place) {
	switch r.scripts++; {
	case r.scripts == maxScripts:
		r.addTrouble(s.Place, errScripts)
		return nil
	case r.scripts > maxScripts, !isShell(text):
		return nil
	}
	in := newInterpreter(r.existence)
	in.source, in.args = r.scriptFile, s.args
	for name, value := range s.vars {
		in.vars[name] = value
	}
	in.interpret(text)
	if body := in.functions[s.function]; body != nil && !in.stopped {
		in.callFunction(body, nil, in.doubt)
	}
	if !s.oneLine {
		r.markScript(s.File, in)
	}
	var before command
	for _, c := range in.commands {
		at := s.Place
		if !s.oneLine {
			at.Line = c.line
		}
		if r.addCommand(s, at, c, before) {
			loads = append(loads, at)
		}
		before = c
	}
	return loads
}

// addCommand adds what one command sets. before is the one before it in a pipe. It reports whether the
// command loads nf_conntrack.
func (r *reader) addCommand(s script, at tree.Place, c, before command) bool {
	s.uncertain = cmp.Or(s.uncertain, c.doubt)
	name, args := c.program()
	switch name {
	case "sysctl":
		r.addSysctlCommand(s, at, args, c.input)
	case "systemd-sysctl":
		r.addSystemdSysctlCommand(s, args)
	case "echo", "printf":
		r.addWrite(s, at, args, c.file)
	case "cat":
		if c.input != "" && len(args) == 0 {
			r.addWrite(s, at, []string{strings.TrimSpace(c.input)}, c.file)
		}
	case "tee":
		values := []string{strings.TrimSpace(c.input)}
		if from, words := before.program(); c.piped && (from == "echo" || from == "printf") {
			values = words
		}
		for _, file := range args {
			r.addWrite(s, at, values, file)
		}
	case "modprobe":
		return r.addModprobeCommand(s, at, args)
	default:
		r.addInner(s, at, c)
	}
	return false
}

// addInner adds what the script sets that a command runs: sh -c TEXT, sh FILE, or FILE.
func (r *reader) addInner(s script, at tree.Place, c command) {
	words := c.unwrapped()
	if s.depth++; s.depth > maxCalls || len(words) == 0 {
		return
	}
	byShell := slices.Contains(shells, path.Base(words[0]))
	if byShell {
		i := 1
		for ; i < len(words) && strings.HasPrefix(words[i], "-"); i++ {
			if !strings.HasPrefix(words[i], "--") && strings.HasSuffix(words[i], "c") && i+1 < len(words) {
				s.Place, s.oneLine, s.vars, s.function = at, true, nil, ""
				s.args = append([]string{}, words[min(i+3, len(words)):]...)
				r.addScript(s, words[i+1])
				return
			}
		}
		words = words[i:]
	}
	if len(words) == 0 || !path.IsAbs(words[0]) {
		return
	}
	text, found := r.scriptFile(words[0])
	if !found || !mightSet(text) {
		return
	}
	switch {
	case byShell:
	case !r.isExecutable(words[0]):
		s.noEffect = notExecutable
	case s.depth == 1 && strings.HasSuffix(s.tool, ".service") && !strings.HasPrefix(text, "#!"):
		s.noEffect = noInterpreter
	}
	s.Place, s.oneLine, s.vars, s.function = tree.Place{File: words[0]}, false, nil, ""
	s.args = append([]string{}, words[1:]...)
	r.addScript(s, text)
}

// mightSet reports whether a script may set a value or run one that does, by the words in it.
func mightSet(text string) bool {
	return strings.Contains(text, "conntrack") || strings.Contains(text, "sysctl")
}

// scriptFile returns the text of a script. It returns nothing for programs and for files that cannot be read.
func (r *reader) scriptFile(file string) (string, bool) {
	info, err := r.tree.Stat(file)
	if err != nil || info.Size() > maxScriptFile {
		return "", false
	}
	data, err := r.tree.Read(file, maxScriptFile)
	if err != nil || bytes.IndexByte(data, 0) >= 0 {
		return "", false
	}
	return string(data), true
}

var shells = []string{"sh", "bash", "dash", "ash", "ksh", "mksh", "zsh"}

// isShell reports whether a shell runs a script, by its first line. Without "#!" it does.
func isShell(text string) bool {
	first, _, _ := strings.Cut(text, "\n")
	interpreter, found := strings.CutPrefix(first, "#!")
	if !found {
		return true
	}
	return slices.ContainsFunc(strings.Fields(interpreter), func(word string) bool {
		name := path.Base(word)
		return slices.Contains(shells, name) || name == "openrc-run" || name == "runscript"
	})
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
			Place: at, Name: setting, Key: key, Value: value, Tool: s.tool, Phase: s.phase,
			Uncertain: s.uncertain, NoEffect: noEffect,
		})
	}
}

// addSysctlCommand adds what sysctl(8) sets: KEY=VALUE, -p FILE…, --system.
func (r *reader) addSysctlCommand(s script, at tree.Place, args []string, input string) {
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
		case strings.HasPrefix(arg, "--load="):
			load, named = true, append(named, strings.TrimPrefix(arg, "--load="))
		case strings.HasPrefix(arg, "-") && arg != "-":
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
		if file == "-" || file == "/dev/stdin" {
			here, _ := parseSysctl(at.File, input)
			for i := range here {
				here[i].Place = at
			}
			lines = append(lines, here...)
			continue
		}
		lines = append(lines, r.linesIn(file)...)
	}
	if s.noEffect == "" {
		r.applySysctl(sysctlRun{tool: s.tool, phase: s.phase, uncertain: s.uncertain}, lines)
	}
}

// addSystemdSysctlCommand adds what systemd-sysctl [--prefix=PATH] [FILE…] sets.
func (r *reader) addSystemdSysctlCommand(s script, args []string) {
	if len(args) == 0 && slices.Contains([]string{"systemd-sysctl.service", "procps.service"}, s.tool) {
		return // readSysctl has read what systemd's own service does, of which Debian's procps.service is another name
	}
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
		r.applySysctl(sysctlRun{tool: s.tool, phase: s.phase, uncertain: s.uncertain, keepsFirst: true}, lines)
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
				Tool: s.tool, Phase: AtModuleLoad, Uncertain: s.uncertain, NoEffect: s.noEffect,
			})
		}
	}
	return loads && s.noEffect == ""
}

package inventory

import (
	"path"
	"strings"
	"unicode"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
)

const (
	hashsizeFile = "/sys/module/nf_conntrack/parameters/hashsize"

	// maxExpansion is how far the end of a ${…} may be.
	maxExpansion = 4096
)

// command is one simple command of a shell script.
type command struct {
	line  int
	words []string
	// file is where its standard output goes, or "".
	file string
	// piped is true where the command before it feeds it.
	piped bool
}

// scanShell finds the simple commands in shell text: words with their quotes taken
// off, variables left as they are written. It knows nothing of what is done when:
// a command in an if is one like any other.
func scanShell(text string) []command {
	s := shellScan{now: command{line: 1}, line: 1}
	for i := 0; i < len(text); i++ {
		i += s.step(text[i:])
	}
	s.end(false)
	return s.all
}

type shellScan struct {
	all      []command
	now      command
	line     int
	word     []byte
	inWord   bool
	begun    int // the line in which the word begins
	quote    byte
	redirect bool // the next word is where output goes,
	errors   bool // or where errors go, which is nobody's business
}

// step takes the first byte of text, and tells how many more it took.
func (s *shellScan) step(text string) int {
	c := text[0]
	if c == '\n' {
		defer func() { s.line++ }()
	}
	switch {
	case s.quote != 0 && c == s.quote:
		s.quote = 0
	case c == '\\' && s.quote != '\'' && len(text) > 1:
		if text[1] == '\n' {
			s.line++
		} else {
			s.add(text[1])
		}
		return 1
	case s.quote != '\'' && (c == '$' || c == '`'):
		n := expansion(text)
		s.add([]byte(text[:n])...)
		s.line += strings.Count(text[:n], "\n")
		return n - 1
	case s.quote != 0:
		s.add(c)
	case c == '\'' || c == '"':
		s.quote = c
		s.add()
	case c == '#' && !s.inWord:
		if end := strings.IndexByte(text, '\n'); end >= 0 {
			return end - 1
		}
		return len(text) - 1
	case c == ' ' || c == '\t' || c == '\r':
		s.endWord()
	case strings.HasPrefix(text, "||"):
		s.end(false)
		return 1
	case c == '|':
		s.end(true)
	case strings.IndexByte("\n;|(){}", c) >= 0:
		s.end(false)
	case c == '&' && !strings.HasPrefix(text, "&>"):
		s.ampersand()
	case c == '>':
		s.output()
	default:
		s.add(c)
	}
	return 0
}

// expansion is the length of the ${…}, $(…) or `…` that text begins with; it is left
// as it is written. It is 1 where text begins with nothing of the kind.
func expansion(text string) int {
	shut := map[string]string{"${": "}", "$(": ")"}[text[:min(2, len(text))]]
	if text[0] == '`' {
		shut = "`"
	}
	if shut == "" {
		return 1
	}
	near := text[1:min(len(text), maxExpansion)]
	return 1 + max(0, strings.Index(near, shut)+1)
}

func (s *shellScan) add(text ...byte) {
	if !s.inWord {
		s.inWord, s.begun = true, s.line
	}
	s.word = append(s.word, text...)
}

// ampersand ends a command, but for the one of 2>&1.
func (s *shellScan) ampersand() {
	if s.redirect || s.errors {
		s.add('&')
		return
	}
	s.end(false)
}

// output begins the name of a file that takes output. A number before it says
// which output: only the standard one counts.
func (s *shellScan) output() {
	fd := string(s.word)
	if fd == "1" || fd == "2" || fd == "&" {
		s.word, s.inWord = nil, false
	}
	s.endWord()
	s.redirect, s.errors = fd != "2", fd == "2"
}

func (s *shellScan) endWord() {
	if !s.inWord {
		return
	}
	word := string(s.word)
	s.word, s.inWord = nil, false
	switch {
	case s.errors:
		s.errors = false
		return
	case s.redirect:
		s.now.file, s.redirect = word, false
		return
	case len(s.now.words) == 0:
		s.now.line = s.begun
	}
	s.now.words = append(s.now.words, word)
}

func (s *shellScan) end(pipe bool) {
	s.endWord()
	if len(s.now.words) > 0 {
		s.all = append(s.all, s.now)
	} else {
		pipe = pipe || s.now.piped // a line may end behind its pipe
	}
	s.now, s.redirect, s.errors = command{line: s.line, piped: pipe}, false, false
}

// name is the program of a command, and its arguments: words before it that are
// no program are skipped, and assignments to variables.
func (c command) name() (string, []string) {
	for i, word := range c.words {
		switch {
		case word == "then" || word == "do" || word == "else" || word == "if" || word == "!" || word == "sudo" || word == "exec" || word == "nohup":
		case i == 0 && strings.Contains(word, "=") && !strings.HasPrefix(word, "/"):
		default:
			return path.Base(word), c.words[i+1:]
		}
	}
	return "", nil
}

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
	for _, c := range scanShell(text) {
		at := s.Place
		if !s.oneLine {
			at.Line = c.line
		}
		name, args := c.name()
		switch name {
		case "sysctl":
			r.shellSysctl(s, at, args, files)
		case "systemd-sysctl":
			r.systemdSysctl(s, args, files)
		case "echo", "printf":
			r.shellWrite(s, at, args, c.file)
		case "tee":
			if from, values := before.name(); c.piped && (from == "echo" || from == "printf") && len(args) > 0 {
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

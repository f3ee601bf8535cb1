package inventory

import (
	"path"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/ctkeeper/ctkeeper/host/pattern"
)

// maxScript is the longest text that is parsed at once, in bytes. The parser recurses at every
// bracket: 16 KiB of "(" take 64 MiB of stack and 0.4 s (measured).
const maxScript = 16 << 10

// command is one simple command of a shell script. Quotes are removed; expansions ($x, $(x), `x`) whose
// value is not known stand as they are written.
type command struct {
	line int
	// assigns are the NAME=VALUE before the program, or the arguments of export.
	assigns []variable
	words   []string
	// file is where the standard output goes, or "".
	file string
	// piped is true if the standard output of the command before it is its input.
	piped bool
	// input is the text of its here-document.
	input string
	// doubt is why it is not known whether the command runs, or "".
	doubt string
}

type variable struct{ name, value string }

// parseShell returns the simple commands of a script that is not known to be run in any special way.
func parseShell(text string) []command {
	in := newInterpreter(func(string) truth { return unknown })
	in.interpret(text)
	return in.commands
}

func newInterpreter(files func(string) truth) *interpreter {
	return &interpreter{
		files: files, vars: map[string]string{}, functions: map[string]*syntax.Stmt{}, piped: map[*syntax.Stmt]bool{},
	}
}

// parseStatements returns the complete statements before the first syntax error, and the text from
// the end of those statements on.
func parseStatements(parser *syntax.Parser, text string) (complete []*syntax.Stmt, rest string) {
	file, err := parser.Parse(strings.NewReader(text), "")
	complete = file.Stmts
	if err == nil {
		return complete, ""
	}
	complete = complete[:max(0, len(complete)-1)] // the error may be in the last one
	if len(complete) == 0 {
		return nil, text
	}
	return complete, text[complete[len(complete)-1].End().Offset():]
}

// leadingKeywords are those that keep a line from being parsed without the lines around it.
var leadingKeywords = pattern.New(`^\s*((if|then|elif|else|while|until|do|!)\s+)+`)

// interpretLines follows each line by itself, or what stands between its operators. Lines that end in a
// backslash are joined with the next.
func (in *interpreter) interpretLines(parser *syntax.Parser, text string, first int) {
	for number, line := range joinedLines(text) {
		before := len(in.commands)
		if statements, rest := parseStatements(parser, line[:min(len(line), maxScript)]); rest == "" {
			in.text = line
			in.run(statements, notUnderstood)
		} else {
			isOperator := func(c rune) bool { return strings.ContainsRune(";|&(){}", c) }
			for part := range strings.FieldsFuncSeq(line, isOperator) {
				in.text = leadingKeywords.ReplaceAllString(part, "")
				statements, _ := parseStatements(parser, in.text)
				in.run(statements, notUnderstood)
			}
		}
		for i := range in.commands[before:] {
			in.commands[before+i].line += first + number - 2
		}
		in.stopped = false
	}
}

// isOutput reports whether a redirection takes the standard output to a file.
func isOutput(r *syntax.Redirect) bool {
	switch r.Op {
	case syntax.RdrOut, syntax.AppOut, syntax.RdrClob:
		return r.N == nil || r.N.Value == "1"
	case syntax.RdrAll, syntax.AppAll:
		return true
	}
	return false
}

var (
	escaped       = pattern.New(`\\(.)`)
	escapedQuoted = pattern.New("\\\\([$`\"\\\\])") // a backslash before anything else stands for itself
)

// wrappers are programs that run another one, with those of their options that have an argument.
var wrappers = map[string]string{
	"sudo": "ugpCrtT", "doas": "uC", "env": "uCS", "nice": "n", "ionice": "cnp", "nohup": "", "exec": "a",
	"timeout": "ks", "command": "", "builtin": "", "setsid": "", "busybox": "", "time": "", "stdbuf": "ioe",
	"flock": "wE", "chrt": "", "systemd-cat": "tp",
}

// program returns the name of the program that a command runs, and its arguments. Programs that run
// another one are left out.
func (c command) program() (string, []string) {
	words := c.unwrapped()
	if len(words) == 0 {
		return "", nil
	}
	return path.Base(words[0]), words[1:]
}

// unwrapped returns the words of a command without the programs that only run another one.
func (c command) unwrapped() []string {
	words := c.words
	for len(words) > 0 {
		name := path.Base(words[0])
		withArgument, isWrapper := wrappers[name]
		if !isWrapper || len(words) == 1 {
			return words
		}
		words = words[1:]
		for len(words) > 0 && (strings.HasPrefix(words[0], "-") || name == "env" && strings.Contains(words[0], "=")) {
			option := words[0]
			words = words[1:]
			if len(option) == 2 && strings.Contains(withArgument, option[1:]) && len(words) > 0 {
				words = words[1:]
			}
		}
		if (name == "timeout" || name == "flock" || name == "chrt") && len(words) > 0 {
			words = words[1:]
		}
	}
	return nil
}

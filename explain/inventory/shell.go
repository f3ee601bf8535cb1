package inventory

import (
	"path"
	"regexp"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// maxScript is the longest text that is parsed at once, in bytes. The parser recurses at every
// bracket: 16 KiB of "(" take 64 MiB of stack and 0.4 s (measured).
const maxScript = 16 << 10

// command is one simple command of a shell script. Quotes are removed; expansions ($x, $(x),
// `x`) stand as they are written.
type command struct {
	line int
	// assigns are the NAME=VALUE before the program, or the arguments of export.
	assigns []variable
	words   []string
	// file is where the standard output goes, or "".
	file string
	// piped is true if the standard output of the command before it is its input.
	piped bool
}

type variable struct{ name, value string }

// parseShell returns the simple commands of a script, whatever the conditions and loops
// around them. From the first statement that is no bash on, each line is parsed by itself.
func parseShell(text string) []command {
	parser := syntax.NewParser()
	if len(text) > maxScript {
		return parseLines(parser, text, 1)
	}
	commands, rest := parseStatements(parser, text)
	line := 1 + strings.Count(text[:len(text)-len(rest)], "\n")
	return append(commands, parseLines(parser, rest, line)...)
}

// parseStatements returns the commands of the complete statements before the first syntax
// error, and the text from the end of those statements on.
func parseStatements(parser *syntax.Parser, text string) (commands []command, rest string) {
	file, err := parser.Parse(strings.NewReader(text), "")
	complete := file.Stmts
	if err != nil {
		complete = complete[:max(0, len(complete)-1)] // the error may be in the last one
		rest = text
	}
	for _, statement := range complete {
		commands = append(commands, simpleCommands(text, statement)...)
		if err != nil {
			rest = text[statement.End().Offset():]
		}
	}
	return commands, rest
}

// leadingKeywords are those that keep a line from being parsed without the lines around it.
var leadingKeywords = regexp.MustCompile(`^\s*((if|then|elif|else|while|until|do|!)\s+)+`)

// parseLines parses each line by itself, or what stands between its operators. Lines that end
// in a backslash are joined with the next.
func parseLines(parser *syntax.Parser, text string, first int) []command {
	var commands []command
	for number, line := range joinedLines(text) {
		parsed, rest := parseStatements(parser, line[:min(len(line), maxScript)])
		if rest != "" {
			parsed = nil
			isOperator := func(c rune) bool { return strings.ContainsRune(";|&(){}", c) }
			for part := range strings.FieldsFuncSeq(line, isOperator) {
				more, _ := parseStatements(parser, leadingKeywords.ReplaceAllString(part, ""))
				parsed = append(parsed, more...)
			}
		}
		for _, c := range parsed {
			c.line += first + number - 2
			commands = append(commands, c)
		}
	}
	return commands
}

// simpleCommands returns the simple commands in a statement, those in $(…) and `…` left out.
func simpleCommands(text string, statement *syntax.Stmt) []command {
	var commands []command
	piped := map[*syntax.Stmt]bool{}
	syntax.Walk(statement, func(node syntax.Node) bool {
		switch node := node.(type) {
		case *syntax.BinaryCmd:
			piped[node.Y] = node.Op == syntax.Pipe || node.Op == syntax.PipeAll
		case *syntax.Stmt:
			c := command{line: int(node.Pos().Line()), piped: piped[node]}
			switch call := node.Cmd.(type) {
			case *syntax.CallExpr:
				c.assigns = assignments(text, call.Assigns)
				for _, word := range call.Args {
					c.words = append(c.words, unquote(text, word.Parts, false))
				}
			case *syntax.DeclClause:
				c.assigns = assignments(text, call.Args)
			default:
				return true
			}
			for _, redirect := range node.Redirs {
				if isOutput(redirect) {
					c.file = unquote(text, redirect.Word.Parts, false)
				}
			}
			commands = append(commands, c)
			return false
		}
		return true
	})
	return commands
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

// assignments returns the assignments of single values to names.
func assignments(text string, assigns []*syntax.Assign) []variable {
	var variables []variable
	for _, a := range assigns {
		if a.Name == nil || a.Naked || a.Index != nil || a.Array != nil {
			continue
		}
		v := variable{name: a.Name.Value}
		if a.Value != nil {
			v.value = unquote(text, a.Value.Parts, false)
		}
		variables = append(variables, v)
	}
	return variables
}

var (
	escaped       = regexp.MustCompile(`\\(.)`)
	escapedQuoted = regexp.MustCompile("\\\\([$`\"\\\\])") // a backslash before anything else stands for itself
)

// unquote returns the text of a word without its quotes and escapes, expansions as written.
func unquote(text string, parts []syntax.WordPart, quoted bool) string {
	var b strings.Builder
	for _, part := range parts {
		switch part := part.(type) {
		case *syntax.Lit:
			pattern := escaped
			if quoted {
				pattern = escapedQuoted
			}
			b.WriteString(pattern.ReplaceAllString(part.Value, "$1"))
		case *syntax.SglQuoted:
			b.WriteString(part.Value)
		case *syntax.DblQuoted:
			b.WriteString(unquote(text, part.Parts, true))
		default:
			b.WriteString(text[part.Pos().Offset():part.End().Offset()])
		}
	}
	return b.String()
}

// program returns the name of the program that a command runs, and its arguments.
func (c command) program() (string, []string) {
	for i, word := range c.words {
		if word != "sudo" && word != "exec" && word != "nohup" {
			return path.Base(word), c.words[i+1:]
		}
	}
	return "", nil
}

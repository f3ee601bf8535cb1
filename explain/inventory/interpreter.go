package inventory

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

const (
	// maxSteps limits the statements that are followed in one script, loops and calls included.
	maxSteps = 5000
	// maxCalls limits the depth of calls of functions, sourced files and scripts.
	maxCalls = 8
	// maxWord limits the length of an expanded word, in bytes.
	maxWord = 4096
)

// Why it is not known whether a command runs.
const (
	withinIf      = "within an if"
	withinLoop    = "within a loop"
	withinCase    = "within a case"
	afterOther    = "it depends on the command before it"
	afterExit     = "after an exit that depends on a condition"
	notUnderstood = "a part of the script is not understood"
)

// interpreter follows a shell script without running it. It knows the variables that the script sets
// to constants, and decides the conditions that depend on those and on files.
type interpreter struct {
	text string
	// files decides whether files exist.
	files func(path string) truth
	// source returns the text of a file that the script reads with "."; it may be nil.
	source func(path string) (string, bool)
	// args are $1 and so on, nil if they are not known.
	args []string
	// vars has the variables that are set. A value with an expansion in it is not known.
	vars map[string]string
	// openEnvironment is true if variables that the script does not set may be set.
	openEnvironment bool

	// statements are those of the whole text, nil if a part of it is not understood.
	statements []*syntax.Stmt

	functions map[string]*syntax.Stmt
	piped     map[*syntax.Stmt]bool
	commands  []command
	steps     int
	calls     int
	// stopped is true after an exit, or a return until the call of the function ends.
	stopped, returned bool
	// doubt is why it is not known whether the rest of the script runs; returnDoubt is the same of a
	// function.
	doubt, returnDoubt string
}

// run follows statements, and returns the result of the last. doubt is why it is not known whether
// they run.
func (in *interpreter) run(statements []*syntax.Stmt, doubt string) truth {
	result := yes
	for _, s := range statements {
		if in.steps++; in.stopped || in.steps > maxSteps {
			return unknown
		}
		result = in.statement(s, cmp.Or(in.doubt, in.returnDoubt, doubt))
	}
	return result
}

func (in *interpreter) statement(s *syntax.Stmt, doubt string) truth {
	result := unknown
	switch node := s.Cmd.(type) {
	case *syntax.CallExpr:
		result = in.call(s, node, doubt)
	case *syntax.DeclClause:
		in.assign(s, node.Args, doubt)
		result = yes
	case *syntax.BinaryCmd:
		result = in.binary(node, doubt)
	case *syntax.IfClause:
		result = in.ifClause(node, doubt)
	case *syntax.WhileClause:
		result = in.run(node.Cond, doubt)
		if node.Until {
			result = result.not()
		}
		if result != no {
			in.run(node.Do, result.doubt(doubt, withinLoop))
		}
		result = unknown
	case *syntax.ForClause:
		in.forClause(node, doubt)
	case *syntax.CaseClause:
		result = in.caseClause(node, doubt)
	case *syntax.Block:
		result = in.run(node.Stmts, doubt)
	case *syntax.Subshell:
		before := in.vars
		in.vars = maps.Clone(before)
		result = in.run(node.Stmts, doubt)
		in.vars, in.stopped = before, false
	case *syntax.FuncDecl:
		if node.Name != nil {
			in.functions[node.Name.Value] = node.Body
		}
		result = yes
	case *syntax.TestClause:
		result = in.testClause(node.X)
	case *syntax.TimeClause:
		if node.Stmt != nil {
			result = in.statement(node.Stmt, doubt)
		}
	}
	if s.Negated {
		result = result.not()
	}
	return result
}

func (in *interpreter) binary(b *syntax.BinaryCmd, doubt string) truth {
	x := in.statement(b.X, doubt)
	switch b.Op {
	case syntax.AndStmt:
		if x == no || in.stopped {
			return x
		}
		return x.and(in.statement(b.Y, x.doubt(doubt, afterOther)))
	case syntax.OrStmt:
		if x == yes || in.stopped {
			return x
		}
		return x.or(in.statement(b.Y, x.doubt(doubt, afterOther)))
	}
	in.piped[b.Y] = true
	return in.statement(b.Y, doubt)
}

func (in *interpreter) ifClause(c *syntax.IfClause, doubt string) truth {
	condition := yes // of an else
	if len(c.Cond) > 0 {
		condition = in.run(c.Cond, doubt)
	}
	doubt = condition.doubt(doubt, withinIf)
	if condition != no {
		result := in.run(c.Then, doubt)
		if condition == yes {
			return result
		}
	}
	if c.Else != nil {
		return condition.or(in.ifClause(c.Else, doubt))
	}
	return condition.not()
}

func (in *interpreter) forClause(c *syntax.ForClause, doubt string) {
	loop, isList := c.Loop.(*syntax.WordIter)
	if !isList {
		in.run(c.Do, cmp.Or(doubt, withinLoop))
		return
	}
	var items []string
	for _, word := range loop.Items {
		items = append(items, in.fields(word)...)
	}
	if slices.ContainsFunc(items, func(item string) bool { return isComputed(item) || isGlob(item) }) {
		in.vars[loop.Name.Value] = "$" + loop.Name.Value
		in.run(c.Do, cmp.Or(doubt, withinLoop))
		return
	}
	for _, item := range items {
		in.vars[loop.Name.Value] = item
		in.run(c.Do, doubt)
	}
}

func (in *interpreter) caseClause(c *syntax.CaseClause, doubt string) truth {
	word := in.expand(c.Word.Parts, false)
	for _, item := range c.Items {
		matches := no
		for _, pattern := range item.Patterns {
			matches = matches.or(matchPattern(in.expand(pattern.Parts, false), word))
		}
		if matches == no {
			continue
		}
		result := in.run(item.Stmts, matches.doubt(doubt, withinCase))
		if matches == yes {
			return result
		}
	}
	return unknown
}

// assign sets variables. Where it is not known whether that is done, their values are not known.
func (in *interpreter) assign(s *syntax.Stmt, assigns []*syntax.Assign, doubt string) []variable {
	variables := in.assignments(assigns)
	for _, v := range variables {
		if doubt != "" {
			v.value = "$" + v.name
		}
		in.vars[v.name] = v.value
	}
	in.commands = append(in.commands, command{line: int(s.Pos().Line()), assigns: variables, doubt: doubt})
	return variables
}

// call follows a simple command.
func (in *interpreter) call(s *syntax.Stmt, call *syntax.CallExpr, doubt string) truth {
	if len(call.Args) == 0 {
		in.assign(s, call.Assigns, doubt)
		return yes
	}
	c := command{line: int(s.Pos().Line()), piped: in.piped[s], doubt: doubt, assigns: in.assignments(call.Assigns)}
	for _, word := range call.Args {
		c.words = append(c.words, in.fields(word)...)
	}
	for _, r := range s.Redirs {
		switch {
		case isOutput(r):
			c.file = in.expand(r.Word.Parts, false)
		case r.Hdoc != nil:
			c.input = in.expand(r.Hdoc.Parts, true)
		case r.Op == syntax.WordHdoc:
			c.input = in.expand(r.Word.Parts, false)
		}
	}
	in.commands = append(in.commands, c)
	if len(c.words) == 0 {
		return yes
	}
	if body, found := in.functions[c.words[0]]; found {
		return in.callFunction(body, c.words[1:], doubt)
	}
	return in.builtin(c, doubt)
}

// callFunction follows a function's body.
func (in *interpreter) callFunction(body *syntax.Stmt, args []string, doubt string) truth {
	if in.calls >= maxCalls {
		return unknown
	}
	before, doubtBefore := in.args, in.returnDoubt
	in.calls++
	in.args = append([]string{}, args...)
	result := in.run([]*syntax.Stmt{body}, doubt)
	in.calls--
	in.args, in.returnDoubt = before, doubtBefore
	if in.returned {
		in.stopped, in.returned = false, false
	}
	return result
}

// builtin follows a command that is no function.
func (in *interpreter) builtin(c command, doubt string) truth {
	args := c.words[1:]
	switch c.words[0] {
	case "exit", "exec", "return":
		isReturn := c.words[0] == "return"
		switch {
		case c.words[0] == "exec" && len(args) == 0: // it only redirects
		case doubt == "":
			in.stopped, in.returned = true, isReturn && in.calls > 0
		case isReturn && in.calls > 0:
			in.returnDoubt = afterExit
		default:
			in.doubt = afterExit
		}
		return unknown
	case ".", "source":
		in.readSourced(args)
		return yes
	case "set": // it replaces $1 and so on, unless it only has options
		if len(args) > 0 && (args[0] == "--" || args[0][:min(len(args[0]), 1)] != "-") {
			in.args = nil
		}
	case "shift":
		in.args = in.args[min(len(in.args), 1):]
		return yes
	case "read":
		for _, name := range args {
			in.vars[name] = "$" + name
		}
		return unknown
	case "[", "test":
		if n := len(args); n > 0 && args[n-1] == "]" {
			args = args[:n-1]
		}
		return in.test(args, false)
	}
	return in.result(c)
}

// readSourced sets the variables that a sourced file sets.
func (in *interpreter) readSourced(args []string) {
	text, found := "", false
	if len(args) > 0 && in.source != nil && in.calls < maxCalls && !isComputed(args[0]) {
		text, found = in.source(args[0])
	}
	if !found {
		in.openEnvironment = true
		return
	}
	sourced := newInterpreter(in.files)
	sourced.source, sourced.vars, sourced.calls, sourced.steps = in.source, in.vars, in.calls+1, in.steps
	sourced.interpret(text)
	in.steps = sourced.steps
}

// interpret follows a whole text.
func (in *interpreter) interpret(text string) {
	parser := syntax.NewParser()
	first := 1
	if len(text) <= maxScript {
		in.text = text
		complete, rest := parseStatements(parser, text)
		in.statements = complete
		in.run(complete, "")
		first += strings.Count(text[:len(text)-len(rest)], "\n")
		text = rest
	}
	if text == "" {
		return
	}
	in.statements = nil
	in.functions = map[string]*syntax.Stmt{} // their text is another one
	in.interpretLines(parser, text, first)
}

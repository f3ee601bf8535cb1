package inventory

import (
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

// markScript marks the lines of a script that this package understands, those of commands that do not run
// too. If the script writes to what is known only when it runs, any variable may have the name of it.
func (r *reader) markScript(file string, in *interpreter) {
	isOpen := slices.ContainsFunc(in.commands, command.hasUnknownTarget)
	mark := func(node syntax.Node, last uint) {
		for line := node.Pos().Line(); line <= last; line++ {
			r.markUnderstood(tree.Place{File: file, Line: int(line)})
		}
	}
	for _, statement := range in.statements {
		syntax.Walk(statement, func(node syntax.Node) bool {
			switch node := node.(type) {
			case *syntax.Stmt:
				if call, isCall := node.Cmd.(*syntax.CallExpr); isCall && in.isUnderstood(node, call, isOpen) {
					mark(node, lastLine(node))
				}
			case *syntax.DeclClause:
				if !isOpen {
					mark(node, node.End().Line())
				}
			case *syntax.ForClause:
				if !isOpen {
					mark(node, node.DoPos.Line())
				}
			}
			return true
		})
	}
}

// lastLine returns the last line of a statement, its here-documents included.
func lastLine(s *syntax.Stmt) uint {
	last := s.End().Line()
	for _, redirect := range s.Redirs {
		if redirect.Hdoc != nil {
			last = max(last, redirect.Hdoc.End().Line())
		}
	}
	return last
}

// isUnderstood reports whether a simple command writes no setting but those that addCommand finds. In an
// open script the arguments of functions and the values of variables are not understood.
func (in *interpreter) isUnderstood(s *syntax.Stmt, call *syntax.CallExpr, isOpen bool) bool {
	var c command
	for _, word := range call.Args {
		c.words = append(c.words, in.fields(word)...)
	}
	for _, redirect := range s.Redirs {
		if isOutput(redirect) {
			c.file = in.expand(redirect.Word.Parts, false)
		}
	}
	if len(c.words) == 0 || in.functions[c.words[0]] != nil {
		return !isOpen
	}
	return c.isUnderstood()
}

// isUnderstood reports whether a command writes no setting but those that addCommand finds.
func (c command) isUnderstood() bool {
	name, args := c.program()
	switch {
	case name == "":
		return true
	case c.hasUnknownTarget():
		return false
	case name == "ip" && slices.Contains(args, "netns"): // another network namespace
		return true
	case c.file != "" && !strings.HasPrefix(c.file, "/proc/") && !strings.HasPrefix(c.file, "/sys/"):
		return c.file == "/dev/null"
	}
	return slices.Contains(trusted, name) || slices.Contains([]string{"systemd-sysctl", "[", "test", "exit"}, name)
}

// hasUnknownTarget reports whether it is not known what a command writes to.
func (c command) hasUnknownTarget() bool {
	switch name, args := c.program(); name {
	case "sysctl":
		return slices.ContainsFunc(args, func(arg string) bool {
			key, _, _ := strings.Cut(arg, "=")
			return isComputed(key)
		})
	case "tee":
		return slices.ContainsFunc(args, isComputed)
	}
	return isComputed(c.file)
}

package inventory

import (
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// fields returns the words that a word becomes: several if a variable outside of quotes has blanks.
func (in *interpreter) fields(word *syntax.Word) []string {
	text := in.expand(word.Parts, false)
	for _, part := range word.Parts {
		if _, isVariable := part.(*syntax.ParamExp); isVariable && !isComputed(text) {
			return strings.Fields(text)
		}
	}
	return []string{text}
}

// expand returns the text of a word without its quotes and escapes. An expansion that is not known is
// as written.
func (in *interpreter) expand(parts []syntax.WordPart, quoted bool) string {
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
			b.WriteString(in.expand(part.Parts, true))
		case *syntax.ParamExp:
			b.WriteString(in.parameter(part))
		default:
			b.WriteString(in.text[part.Pos().Offset():part.End().Offset()])
		}
		if b.Len() > maxWord {
			return in.text[parts[0].Pos().Offset():parts[len(parts)-1].End().Offset()]
		}
	}
	return b.String()
}

// parameter returns the value of $NAME, ${NAME} or ${NAME:-DEFAULT}, or the text as written.
func (in *interpreter) parameter(p *syntax.ParamExp) string {
	written := in.text[p.Pos().Offset():p.End().Offset()]
	isPlain := !p.Excl && !p.Length && !p.Width && p.Index == nil && p.Slice == nil && p.Repl == nil && p.Names == 0
	if !isPlain || p.Param == nil {
		return written
	}
	value, isSet := in.vars[p.Param.Value]
	if n, err := strconv.Atoi(p.Param.Value); err == nil && n > 0 && in.args != nil {
		isSet = n <= len(in.args)
		if isSet {
			value = in.args[n-1]
		} else if p.Exp == nil {
			return ""
		}
	}
	switch {
	case p.Exp == nil && isSet:
		return value
	case p.Exp == nil:
		return written
	}
	switch p.Exp.Op {
	case syntax.DefaultUnset, syntax.DefaultUnsetOrNull, syntax.AssignUnset, syntax.AssignUnsetOrNull:
		switch {
		case isSet && value != "":
			return value
		case !isSet && in.openEnvironment:
		case p.Exp.Word == nil:
			return ""
		default:
			return in.expand(p.Exp.Word.Parts, false)
		}
	}
	return written
}

// assignments returns the assignments of single values to names.
func (in *interpreter) assignments(assigns []*syntax.Assign) []variable {
	var variables []variable
	for _, a := range assigns {
		if a.Name == nil || a.Naked || a.Index != nil || a.Array != nil {
			continue
		}
		v := variable{name: a.Name.Value}
		if a.Value != nil {
			v.value = in.expand(a.Value.Parts, false)
		}
		if a.Append {
			v.value = in.vars[v.name] + v.value
			if len(v.value) > maxWord {
				v.value = "$" + v.name
			}
		}
		variables = append(variables, v)
	}
	return variables
}

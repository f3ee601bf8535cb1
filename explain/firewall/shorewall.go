package firewall

import (
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/pattern"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

// readShorewall reads Shorewall's conntrack files, unless shorewall.conf disables its start.
func readShorewall(t tree.Tree, r *Rules) {
	for _, name := range []string{"shorewall", "shorewall6"} {
		dir := "/etc/" + name + "/"
		conf, _ := t.Read(dir+name+".conf", maxConf) // without the file every option has its default
		options := shorewallOptions(string(conf))
		if strings.EqualFold(options["STARTUP_ENABLED"], "no") {
			continue
		}
		if text, ok := r.readFile(t, dir+"conntrack", maxConf); ok {
			r.merge(parseShorewall(dir+"conntrack", string(text), options))
		}
	}
}

// shorewallOptions reads shorewall.conf(5): NAME=value, quoted or not.
func shorewallOptions(text string) map[string]string {
	options := map[string]string{}
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		if name, value, found := strings.Cut(strings.TrimSpace(line), "="); found {
			options[name] = strings.Trim(value, `"'`)
		}
	}
	return options
}

// shorewallHelper matches an entry of shorewall-conntrack(5) that attaches a helper: CT:helper:NAME
// in the ACTION column, or an iptables target.
var shorewallHelper = pattern.New(`(?:^|[\s={,])(?:CT:helper:|IP6?TABLES\(CT\s[^)]*--helper[\s=]+)([-\w.]+)`)

// parseShorewall reads a conntrack file, without the entries that the options turn off.
func parseShorewall(source, text string, options map[string]string) Rules {
	var r Rules
	var open conditions
	number := 0
	for line := range strings.Lines(text) {
		number++
		line, _, _ = strings.Cut(line, "#")
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "?") {
			open.directive(line, options)
			continue
		}
		if open.off > 0 {
			continue
		}
		for _, found := range shorewallHelper.FindAllStringSubmatch(line, -1) {
			place := tree.Place{File: source, Line: number}
			r.Helpers = append(r.Helpers, HelperRule{Place: place, Name: found[1], Rule: line})
			r.addModule("xt_CT", place)
		}
	}
	return r
}

// conditions are the open ?if directives: true if the current branch is never taken. Many depend
// on the kernel or on variables; a branch whose condition is unknown counts as taken.
type conditions struct {
	never []bool
	// off counts the true values in never.
	off int
}

// directive applies ?if, ?elsif, ?else and ?endif.
func (c *conditions) directive(line string, options map[string]string) {
	word := strings.Fields(line)[0]
	rest := strings.TrimPrefix(line, word)
	switch word = strings.ToLower(word); word {
	case "?if":
		c.push(isNever(rest, options))
	case "?elsif":
		if c.pop() {
			c.push(isNever(rest, options))
		}
	case "?else":
		if c.pop() {
			c.push(false)
		}
	case "?endif":
		c.pop()
	}
}

func (c *conditions) push(never bool) {
	c.never = append(c.never, never)
	if never {
		c.off++
	}
}

// pop closes the innermost ?if, and reports whether one was open.
func (c *conditions) pop() bool {
	last := len(c.never) - 1
	if last < 0 {
		return false
	}
	if c.never[last] {
		c.off--
	}
	c.never = c.never[:last]
	return true
}

// isNever reports whether the options make an expression false. It understands the expressions of
// the file that Shorewall ships: "$AUTOHELPERS && __CT_TARGET" and "__SIP_HELPER".
func isNever(expression string, options map[string]string) bool {
	if strings.ContainsAny(expression, "!|=<>()") {
		return false
	}
	helpers := strings.Split(strings.ToLower(options["HELPERS"]), ",")
	for term := range strings.SplitSeq(expression, "&&") {
		term = strings.TrimSpace(term)
		if term == "$AUTOHELPERS" && strings.EqualFold(options["AUTOHELPERS"], "no") {
			return true
		}
		name, isHelper := strings.CutSuffix(strings.TrimPrefix(term, "__"), "_HELPER")
		name = strings.ReplaceAll(strings.ToLower(name), "_", "-")
		if isHelper && options["HELPERS"] != "" && !slices.Contains(trimmed(helpers), name) {
			return true
		}
	}
	return false
}

func trimmed(words []string) []string {
	out := make([]string, len(words))
	for i, word := range words {
		out[i] = strings.TrimSpace(word)
	}
	return out
}

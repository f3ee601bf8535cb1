package inventory

import (
	"cmp"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/pattern"
)

// unit is a unit of systemd with its drop-ins.
type unit struct {
	name  string
	pairs []pair
}

// readElsewhere are the services whose scripts other readers read.
var readElsewhere = []string{
	"rc-local.service", "rc.local.service", "ufw.service", "tuned.service", "iptables.service", "ip6tables.service",
	"firewalld.service", "arno-iptables-firewall.service", "loadmodules.service", "rhel-loadmodules.service",
}

// readUnits reads the services of systemd that run sysctl, modprobe or a script.
func (r *reader) readUnits() {
	if r.init != initSystemd {
		return
	}
	units := r.loadUnits()
	for _, name := range slices.Sorted(maps.Keys(units.byName)) {
		u := units.byName[name]
		isTemplate := strings.HasSuffix(name, "@.service")
		if slices.Contains(readElsewhere, name) || strings.HasPrefix(name, "ctkeeper") || isTemplate {
			continue
		}
		commands := u.commands()
		r.markUnit(u, commands)
		if !slices.ContainsFunc(commands, func(p pair) bool { return r.mayMatter(p.value) }) {
			continue
		}
		s := script{tool: u.name, vars: r.environment(u)}
		s.noEffect, s.uncertain, s.phase = units.start(u)
		if s.noEffect == "" {
			s.noEffect, s.uncertain = r.restriction(u, s.uncertain)
		}
		r.addUnit(s, u, commands)
	}
}

// markUnit marks the lines that do not run when a service starts.
func (r *reader) markUnit(u *unit, commands []pair) {
	for _, p := range u.pairs {
		if strings.HasPrefix(p.name, "Exec") && !slices.Contains(commands, p) || p.name == "Description" {
			r.markUnderstood(p.Place)
		}
	}
}

// mayMatter reports whether the command line of a service may set a value.
func (r *reader) mayMatter(line string) bool {
	if mightSet(line) {
		return true
	}
	for _, word := range splitExec(line) {
		if word = strings.TrimLeft(word, "@-:+!|"); path.IsAbs(word) {
			if text, found := r.scriptFile(word); found && isShell(text) && mightSet(text) {
				return true
			}
		}
	}
	return false
}

// addUnit adds what the commands of a service set.
func (r *reader) addUnit(s script, u *unit, commands []pair) {
	isEarly := slices.ContainsFunc(u.values("Unit", "Before"), func(before string) bool {
		return strings.Contains(before, "systemd-sysctl.service")
	})
	for _, p := range commands {
		s.Place = p.Place
		var words []string
		all := append(splitExec(p.value), ";")
		for i, word := range all {
			if word != ";" {
				words = append(words, word)
				continue
			}
			loads := r.addExec(s, u, words)
			isPre := u.name == "systemd-sysctl.service" && p.name == "ExecStartPre"
			if i == len(all)-1 && loads && s.noEffect == "" && s.uncertain == "" && (isEarly || isPre) {
				r.inv.EarlyLoads = append(r.inv.EarlyLoads, p.Place)
			}
			words = nil
		}
	}
}

// addExec adds what one command of a service sets. It reports whether the command loads nf_conntrack.
func (r *reader) addExec(s script, u *unit, words []string) bool {
	if len(words) == 0 {
		return false
	}
	prefix := words[0][:len(words[0])-len(strings.TrimLeft(words[0], "@-:+!|"))]
	words = slices.Clone(words)
	words[0] = words[0][len(prefix):]
	if strings.Contains(prefix, "@") && len(words) > 1 {
		words = slices.Delete(words, 1, 2) // what the program sees as its name
	}
	for i := range words {
		words[i] = u.expand(words[i], s.vars)
	}
	c := command{words: words}
	if c.isUnderstood() {
		r.markUnderstood(s.Place)
	}
	return r.addCommand(s, s.Place, c, command{})
}

// braced is a variable that systemd expands anywhere in a command line. It expands $NAME only as a
// whole word, and "$$" is a dollar (systemd.service(5), "Command lines").
var braced = pattern.New(`\$\$|\$\{\w+\}|%.`)

// expand replaces specifiers and variables. Of the specifiers only names are known.
func (u *unit) expand(word string, vars map[string]string) string {
	if name, found := strings.CutPrefix(word, "$"); found && vars[name] != "" {
		return vars[name]
	}
	prefix, instance, _ := strings.Cut(strings.TrimSuffix(u.name, ".service"), "@")
	return braced.ReplaceAllStringFunc(word, func(found string) string {
		switch found {
		case "$$":
			return "$"
		case "%%":
			return "%"
		case "%n":
			return u.name
		case "%N":
			return strings.TrimSuffix(u.name, ".service")
		case "%p":
			return prefix
		case "%i":
			return instance
		}
		if found[0] == '%' {
			return "${" + found + "}"
		}
		if value := vars[found[2:len(found)-1]]; value != "" {
			return value
		}
		return found
	})
}

// values returns the values of a key; an empty one resets those before it.
func (u *unit) values(section, name string) []string {
	var values []string
	for _, p := range u.pairs {
		if p.section == section && p.name == name {
			if p.value == "" {
				values = nil
				continue
			}
			values = append(values, p.value)
		}
	}
	return values
}

// last returns the last value of a key, or "".
func (u *unit) last(section, name string) string {
	values := u.values(section, name)
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}

// commands returns the commands that run when the service starts, in their order.
func (u *unit) commands() []pair {
	var all []pair
	for _, name := range []string{"ExecStartPre", "ExecStart", "ExecStartPost"} {
		first := len(all)
		for _, p := range u.pairs {
			switch {
			case p.section != "Service" || p.name != name:
			case p.value == "":
				all = all[:first]
			default:
				all = append(all, p)
			}
		}
	}
	return all
}

// environment returns the variables of Environment= and EnvironmentFile=.
func (r *reader) environment(u *unit) map[string]string {
	vars := map[string]string{}
	for _, list := range u.values("Service", "Environment") {
		for _, word := range splitExec(list) {
			if name, value, ok := strings.Cut(word, "="); ok {
				vars[name] = value
			}
		}
	}
	for _, file := range u.values("Service", "EnvironmentFile") {
		for name, p := range r.shellPairs(strings.TrimPrefix(file, "-")) {
			vars[name] = p.value
		}
	}
	return vars
}

// restriction returns why a service cannot set a value of the host although it runs, or why that is not
// known. The doubt that there is already comes first.
func (r *reader) restriction(u *unit, doubt string) (noEffect, uncertain string) {
	if isTrue(u.last("Service", "ProtectKernelTunables")) { // systemd.exec(5)
		return "ProtectKernelTunables= of " + u.name + " makes /proc/sys read-only", ""
	}
	uncertain = doubt
	if user := u.last("Service", "User"); user != "" && user != "root" && user != "0" {
		uncertain = cmp.Or(uncertain, u.name+" does not run as root")
	}
	for _, name := range []string{
		"ExecCondition", "PrivateNetwork", "NetworkNamespacePath", "RootDirectory", "RootImage", "DynamicUser",
	} {
		if value := u.last("Service", name); value != "" && value != "no" && value != "false" {
			uncertain = cmp.Or(uncertain, u.name+" has "+name+"=")
		}
	}
	for _, p := range u.pairs {
		isCondition := strings.HasPrefix(p.name, "Condition") || strings.HasPrefix(p.name, "Assert")
		if p.section != "Unit" || p.value == "" || !isCondition {
			continue
		}
		switch r.condition(p) {
		case no:
			return p.name + "=" + p.value + " of " + u.name + " does not hold", ""
		case unknown:
			uncertain = cmp.Or(uncertain, "it depends on "+p.name+"= of "+u.name)
		}
	}
	for _, before := range u.values("Unit", "Before") {
		for _, name := range []string{"systemd-sysctl.service", "sysinit.target"} {
			if slices.Contains(strings.Fields(before), name) {
				uncertain = cmp.Or(uncertain, "it may come before the sysctl files are applied: Before="+name)
			}
		}
	}
	return "", uncertain
}

// condition decides a Condition…= or Assert…= that depends on a file alone.
func (r *reader) condition(p pair) truth {
	value, isNegated := strings.CutPrefix(p.value, "!")
	holds := unknown
	switch strings.TrimPrefix(strings.TrimPrefix(p.name, "Condition"), "Assert") {
	case "PathExists", "PathIsDirectory", "FileNotEmpty", "FileIsExecutable":
		holds = r.existence(value)
	}
	if isNegated {
		return holds.not()
	}
	return holds
}

func isTrue(value string) bool {
	return slices.Contains([]string{"1", "yes", "y", "true", "t", "on"}, strings.ToLower(value))
}

// splitExec splits a command line into words as systemd does: quotes are removed, and a backslash
// escapes the character after it (extract_first_word).
func splitExec(line string) []string {
	var words []string
	var b strings.Builder
	inWord, quote := false, byte(0)
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case c == '\\' && i+1 < len(line):
			i++
			inWord = true
			if line[i] == 'n' || line[i] == 't' {
				b.WriteByte(map[byte]byte{'n': '\n', 't': '\t'}[line[i]])
			} else {
				b.WriteByte(line[i])
			}
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote, inWord = c, true
		case quote == 0 && (c == ' ' || c == '\t' || c == '\n'):
			if inWord {
				words = append(words, b.String())
				b.Reset()
			}
			inWord = false
		default:
			inWord = true
			b.WriteByte(c)
		}
	}
	if inWord {
		words = append(words, b.String())
	}
	return words
}

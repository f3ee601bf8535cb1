package firewall

import (
	"bytes"
	"errors"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/pattern"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

var (
	errQuote   = errors.New("unterminated quote")
	errNotSave = errors.New("not a line of iptables-save(8)")
)

// iptablesFiles are the files that the distributions' services, Debian's netfilter-persistent and
// local scripts pass to iptables-restore(8).
func iptablesFiles() []string {
	return []string{
		"/etc/sysconfig/iptables", "/etc/sysconfig/ip6tables",
		"/etc/iptables/rules.v4", "/etc/iptables/rules.v6",
		"/etc/iptables/iptables.rules", "/etc/iptables/ip6tables.rules",
		"/etc/iptables.rules", "/etc/ip6tables.rules", "/etc/iptables.up.rules",
		"/etc/iptables/rules-save", "/etc/iptables/rules6-save",
		"/var/lib/iptables/rules-save", "/var/lib/ip6tables/rules-save",
	}
}

// ufwFiles are the rules of ufw-framework(8), in the order in which they are loaded.
func ufwFiles() []string {
	return []string{
		"/etc/ufw/before.rules", "/etc/ufw/user.rules", "/etc/ufw/after.rules",
		"/etc/ufw/before6.rules", "/etc/ufw/user6.rules", "/etc/ufw/after6.rules",
	}
}

// ufwEnabled matches the line of ufw.conf without which ufw loads nothing at boot.
var ufwEnabled = pattern.New(`(?mi)^\s*ENABLED\s*=\s*["']?yes\b`)

func readIptablesFiles(t tree.Tree, r *Rules) {
	paths := iptablesFiles()
	if conf, err := t.Read("/etc/ufw/ufw.conf", maxConf); err == nil && ufwEnabled.Match(conf) {
		paths = append(paths, ufwFiles()...)
	}
	for _, path := range paths {
		if text, ok := r.readFile(t, path, maxRules); ok {
			r.merge(ParseIptablesSave(path, text))
		}
	}
}

// ParseIptablesSave reads rules in the format of iptables-save(8), from files and from its output.
// Lines that iptables-save does not write are troubles.
func ParseIptablesSave(source string, text []byte) Rules {
	var r Rules
	number := 0
	for raw := range bytes.Lines(text) {
		number++
		line := strings.TrimSpace(string(raw))
		place := tree.Place{File: source, Line: number}
		if strings.HasPrefix(line, "[") { // [packets:bytes]
			_, line, _ = strings.Cut(line, "] ")
			line = strings.TrimSpace(line)
		}
		switch {
		case line == "" || line == "COMMIT" || strings.ContainsAny(line[:1], "#*:"):
		case line[0] == '-':
			r.addIptablesRule(place, line)
		default:
			r.addTrouble(place, errNotSave)
		}
		r.Troubles = r.Troubles[:min(len(r.Troubles), maxTroubles)]
	}
	return r
}

// splitArguments splits a line as iptables-restore(8) does: at blanks outside of double quotes. In
// quotes a backslash escapes the next character. With the error of an unterminated quote it returns
// the arguments before it.
func splitArguments(line string) ([]string, error) {
	var args []string
	var arg strings.Builder
	begun, quoted, escaped := false, false, false
	for _, c := range []byte(line) {
		switch {
		case escaped:
			arg.WriteByte(c)
			escaped = false
		case quoted && c == '\\':
			escaped = true
		case c == '"':
			quoted, begun = !quoted, true
		case !quoted && (c == ' ' || c == '\t'):
			if begun {
				args = append(args, arg.String())
				arg.Reset()
				begun = false
			}
		default:
			arg.WriteByte(c)
			begun = true
		}
	}
	if quoted {
		return args, errQuote
	}
	if begun {
		args = append(args, arg.String())
	}
	return args, nil
}

// addIptablesRule adds the modules that a rule needs and the helper that it attaches. The option
// --helper belongs to the target CT, which attaches a helper, or to the match "helper", which
// compares it.
func (r *Rules) addIptablesRule(place tree.Place, rule string) {
	args, err := splitArguments(rule)
	if err != nil {
		r.addTrouble(place, err)
	}
	attaches := false
	for len(args) > 0 {
		option, value, rest := cutOption(args)
		switch option {
		case "-m", "--match":
			r.addModule(matchModule(value), place)
			attaches = attaches && value != "helper"
		case "-j", "--jump":
			r.addModule(targetModule(value), place)
			attaches = value == "CT"
		case "--helper":
			if attaches && value != "" {
				r.Helpers = append(r.Helpers, HelperRule{Place: place, Name: value, Rule: rule})
			}
		case "--comment":
		default:
			rest = args[1:] // it is unknown whether the option has a value
		}
		args = rest
	}
}

// cutOption splits the first option and its value off the arguments, as getopt_long(3) does for an
// option with a value: "-j CT", "-jCT", "--jump CT", "--jump=CT".
func cutOption(args []string) (option, value string, rest []string) {
	option, rest = args[0], args[1:]
	if strings.HasPrefix(option, "--") {
		if name, value, found := strings.Cut(option, "="); found {
			return name, value, rest
		}
	} else if len(option) > 2 && option[0] == '-' {
		return option[:2], option[2:], rest
	}
	if len(rest) > 0 {
		value, rest = rest[0], rest[1:]
	}
	return option, value, rest
}

// matchModule returns the conntrack module that a match needs, or "".
func matchModule(match string) string {
	switch match {
	case "conntrack", "state", "connlimit", "connmark", "connbytes", "connlabel", "helper", "cluster":
		return "xt_" + match
	}
	return ""
}

// targetModule returns the conntrack module that a target needs, or "". The targets that translate
// addresses have modules of their own, which differ between kernels; all of them need nf_nat.
func targetModule(target string) string {
	switch target {
	case "CT", "CONNSECMARK":
		return "xt_" + target
	case "CONNMARK":
		return "xt_connmark"
	case "SYNPROXY":
		return "nf_synproxy_core"
	case "SNAT", "DNAT", "MASQUERADE", "REDIRECT", "NETMAP":
		return "nf_nat"
	}
	return ""
}

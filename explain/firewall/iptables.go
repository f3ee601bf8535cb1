package firewall

import (
	"bytes"
	"errors"
	"regexp"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

var (
	errQuote   = errors.New("quote without an end")
	errNotSave = errors.New("not a line of iptables-save(8)")
)

// iptablesFiles are the files that the distributions' services, Debian's
// netfilter-persistent and people's own scripts hand to iptables-restore(8).
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

// ufwFiles are those of ufw-framework(8), in the order in which they are loaded.
func ufwFiles() []string {
	return []string{
		"/etc/ufw/before.rules", "/etc/ufw/user.rules", "/etc/ufw/after.rules",
		"/etc/ufw/before6.rules", "/etc/ufw/user6.rules", "/etc/ufw/after6.rules",
	}
}

// ufwEnabled is the line of ufw.conf without which ufw loads nothing at boot.
var ufwEnabled = regexp.MustCompile(`(?mi)^\s*ENABLED\s*=\s*["']?yes\b`)

func readIptablesFiles(t tree.Tree, r *Rules) {
	paths := iptablesFiles()
	if conf, err := t.Read("/etc/ufw/ufw.conf", maxConf); err == nil && ufwEnabled.Match(conf) {
		paths = append(paths, ufwFiles()...)
	}
	for _, path := range paths {
		if text, ok := r.file(t, path, maxRules); ok {
			r.add(ParseIptablesSave(path, text))
		}
	}
}

// ParseIptablesSave reads iptables-save(8) text: files and live output alike. Lines
// that it would not write are troubles.
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
			args, err := arguments(line)
			if err != nil {
				r.trouble(place, err)
			}
			r.iptablesRule(place, line, args)
		default:
			r.trouble(place, errNotSave)
		}
		r.Troubles = r.Troubles[:min(len(r.Troubles), maxTroubles)]
	}
	return r
}

// arguments splits a line as iptables-restore(8) does: at blanks outside of double
// quotes, within which a backslash takes the next character as it is. What stands
// before a quote without an end is there with the error.
func arguments(line string) ([]string, error) {
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

// iptablesRule notes what a rule asks for. Its --helper is the target's, which
// attaches a helper, or that of the match of this name, which asks for one.
func (r *Rules) iptablesRule(place tree.Place, rule string, args []string) {
	attaches := false
	for len(args) > 0 {
		option, value, rest := cutOption(args)
		switch option {
		case "-m", "--match":
			r.need(matchModule(value), place)
			attaches = attaches && value != "helper"
		case "-j", "--jump":
			r.need(targetModule(value), place)
			attaches = value == "CT"
		case "--helper":
			if attaches && value != "" {
				r.Helpers = append(r.Helpers, HelperRule{Place: place, Name: value, Rule: rule})
			}
		case "--comment":
		default:
			rest = args[1:] // whether it has a value is not known
		}
		args = rest
	}
}

// cutOption takes an option and its value from the arguments, as getopt_long(3)
// does for one that has a value: "-j CT", "-jCT", "--jump CT", "--jump=CT".
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

// matchModule is the module of a match that uses the connection tracker, else "".
func matchModule(match string) string {
	switch match {
	case "conntrack", "state", "connlimit", "connmark", "connbytes", "connlabel", "helper", "cluster":
		return "xt_" + match
	}
	return ""
}

// targetModule is the module of a target that uses the connection tracker, else "".
// Those that translate addresses have their own, which differ among kernels: all
// need nf_nat.
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

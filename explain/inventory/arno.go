package inventory

import (
	"path"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/pattern"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

const arno = "arno-iptables-firewall"

// arnoSets is a line of the script that sets a constant. Which ones differs by version: acct in all of
// them, udp_timeout in some.
var arnoSets = pattern.New(`^\s*sysctl(?:_multi)?\s+-w\s+(net\.netfilter\.nf_conntrack_\w+)=(\d+)\b`)

// readArno reads Arno's iptables firewall. At each start its script writes CONNTRACK to
// nf_conntrack_max, unless it is empty or 0 (setup_kernel_settings).
func (r *reader) readArno() {
	const file = "/etc/arno-iptables-firewall/firewall.conf"
	if !r.tree.Exists(file) {
		return
	}
	noEffect := ""
	if !r.isEnabled(arno) {
		noEffect = arno + " is not enabled"
	}
	files := []string{file}
	for _, f := range r.dropins(".conf", path.Join(path.Dir(file), "conf.d")) {
		files = append(files, f.Path)
	}
	var max pair
	for _, each := range files {
		if p, given := r.shellPairs(each)["CONNTRACK"]; given {
			max = p
			r.markUnderstood(p.Place)
		}
	}
	add := func(at tree.Place, key, name, value string) {
		if setting, never, ok := r.setting(name); ok {
			if noEffect != "" {
				never = noEffect
			}
			r.addExpanded(Assignment{
				Place: at, Name: setting, Key: key, Value: value, Tool: arno, Phase: AtFirewallStart, NoEffect: never,
			})
		}
	}
	for _, program := range []string{"/usr/local/sbin/" + arno, "/usr/sbin/" + arno} {
		text, found := r.scriptFile(program)
		for number, line := range numbered(text) {
			at := tree.Place{File: program, Line: number}
			if match := arnoSets.FindStringSubmatch(line); match != nil {
				add(at, match[1], sysctlName(match[1]), match[2])
			} else if strings.Contains(line, "conntrack") {
				r.markUnderstood(at)
			}
		}
		if found {
			break
		}
	}
	if max.value != "" && max.value != "0" {
		add(max.Place, "CONNTRACK", "net/netfilter/nf_conntrack_max", max.value)
	}
}

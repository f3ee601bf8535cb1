package holder

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/kmod"
)

// stop is which rules a firewall removes when it stops, before it unloads modules. Rules hold the
// modules that they use.
type stop struct{ ip4, ip6, nft bool }

// holder is a module that is held by something other than a module.
type holder struct {
	module string
	// references counts the uses that no module explains and that remain after the stop.
	references int
	// by is what holds it, as far as the module's name shows it.
	by string
}

// unload works out from /proc/modules what a stop does to a module and to everything that uses it. It
// returns the holders, or else the modules that are unloaded, in this order. The init script of Red
// Hat's iptables (rmmod_r) and firewalld both unload the users of a module first, and their users before
// them. A module that is in use stays, and so does everything that it uses.
//
// usesOther reports whether rules of the remaining family use a module that serves both families.
func unload(
	modules []kmod.ProcModule, name string, s stop, usesOther func(module string) bool,
) (unloaded []string, holders []holder) {
	all := append(kmod.Users(modules, name), name)
	for _, m := range modules {
		if !slices.Contains(all, m.Name) {
			continue
		}
		if m.Uses < 0 {
			holders = append(holders, holder{m.Name, 0, "this kernel, which cannot unload modules"})
			continue
		}
		references := m.Uses - len(m.UsedBy)
		if references > 0 && !s.frees(m.Name, usesOther) {
			holders = append(holders, holder{m.Name, references, holderName(m.Name)})
		}
	}
	if len(holders) > 0 {
		return nil, holders
	}
	return all, nil
}

// family is the kind of rules that use a module.
type family int

const (
	both4And6 family = iota
	only4
	only6
	nftables
	none
)

// familyOf returns by its name which rules use a module. nf_conntrack_ipv4 and _ipv6 are from kernels
// before 4.19: there each rule that matches on a state holds the one of its family.
func familyOf(module string) family {
	prefixes := []struct {
		prefix string
		family family
	}{
		{"iptable_", only4}, {"ipt_", only4}, {"ip_tables", only4}, {"nf_conntrack_ipv4", only4}, {"nf_nat_ipv4",
			only4},
		{"ip6table_", only6}, {"ip6t_", only6}, {"ip6_tables", only6}, {"nf_conntrack_ipv6", only6}, {"nf_nat_ipv6",
			only6},
		{"nft_", nftables}, {"nf_tables", nftables}, {"nf_flow_table", nftables},
		{"nf_conntrack_netlink", none},
		{"xt_", both4And6}, {"nf_nat", both4And6}, {"nf_conntrack_", both4And6}, {"x_tables", both4And6},
	}
	for _, p := range prefixes {
		if strings.HasPrefix(module, p.prefix) {
			return p.family
		}
	}
	return none
}

// frees reports whether the stop removes every rule that uses a module.
func (s stop) frees(module string, usesOther func(string) bool) bool {
	switch familyOf(module) {
	case only4:
		return s.ip4
	case only6:
		return s.ip6
	case nftables:
		return s.nft
	case both4And6:
		return s.ip4 && s.ip6 || !usesOther(module)
	}
	return false
}

// holderName returns what holds a module, as far as its name shows it.
func holderName(module string) string {
	switch familyOf(module) {
	case only4:
		return "IPv4 rules (iptables)"
	case only6:
		return "IPv6 rules (ip6tables)"
	case nftables:
		return "rules of nftables"
	case both4And6:
		return "rules"
	}
	switch {
	case strings.HasPrefix(module, "ip_vs"):
		return "IPVS"
	case module == "openvswitch":
		return "Open vSwitch"
	case module == "nf_conntrack_netlink":
		return "a program that listens for conntrack events"
	case module == "act_ct":
		return "traffic control (act_ct)"
	}
	return "something that is not a module"
}

// hasRules reports whether the iptables of a family has rules in the kernel: a table with rules holds
// its own module (do_replace in ip_tables.c).
func hasRules(modules []kmod.ProcModule, f family) bool {
	return slices.ContainsFunc(modules, func(m kmod.ProcModule) bool {
		return familyOf(m.Name) == f && strings.Contains(m.Name, "table_") && m.Uses > len(m.UsedBy)
	})
}

// String returns "nf_conntrack_ipv6: 2 uses by IPv6 rules (ip6tables)".
func (h holder) String() string {
	switch h.references {
	case 0:
		return h.module + ": held by " + h.by
	case 1:
		return h.module + ": 1 use by " + h.by
	}
	return fmt.Sprintf("%s: %d uses by %s", h.module, h.references, h.by)
}

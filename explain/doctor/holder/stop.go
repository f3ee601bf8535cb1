package holder

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/kmod"
)

// stop is what a firewall takes away when it stops, before it unloads modules:
// rules hold the modules that they use.
type stop struct {
	// ip4, ip6 and nft are the rules that it takes away.
	ip4, ip6, nft bool
}

// hold is a module that something other than a module holds.
type hold struct {
	Module string
	// References is how many of its uses no module explains and the stop leaves.
	References int
	// By says who holds it, as far as the name tells.
	By string
}

// unloading works out what a stop does to a module and to all that uses it, from
// /proc/modules. Where nothing holds any of them they fall, in this order. The
// init script of Red Hat's iptables (rmmod_r) and firewalld both go that way: the
// users first, and users of users before them; what is in use stays, and so does
// everything that it uses.
//
// other tells whether rules of the family that stays use a module that serves both.
func unloading(modules []kmod.ProcModule, name string, s stop, other func(module string) bool) (falls []string, holds []hold) {
	all := append(kmod.Users(modules, name), name)
	for _, m := range modules {
		if !slices.Contains(all, m.Name) {
			continue
		}
		if m.Uses < 0 {
			holds = append(holds, hold{m.Name, 0, "this kernel, which cannot unload modules"})
			continue
		}
		left := m.Uses - len(m.UsedBy)
		if left > 0 && !s.frees(m.Name, other) {
			holds = append(holds, hold{m.Name, left, holderName(m.Name)})
		}
	}
	if len(holds) > 0 {
		return nil, holds
	}
	return all, nil
}

// family is the rules that a module serves by its name.
type family int

const (
	both4And6 family = iota
	only4
	only6
	nftables
	none
)

// familyOf tells by its name whose rules use a module. nf_conntrack_ipv4 and _ipv6 are
// of kernels before 4.19: there each rule that matches on a state holds the one of
// its family.
func familyOf(module string) family {
	prefixes := []struct {
		prefix string
		family family
	}{
		{"iptable_", only4}, {"ipt_", only4}, {"ip_tables", only4}, {"nf_conntrack_ipv4", only4}, {"nf_nat_ipv4", only4},
		{"ip6table_", only6}, {"ip6t_", only6}, {"ip6_tables", only6}, {"nf_conntrack_ipv6", only6}, {"nf_nat_ipv6", only6},
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

// frees reports whether the stop takes away every rule that uses a module.
func (s stop) frees(module string, other func(string) bool) bool {
	switch familyOf(module) {
	case only4:
		return s.ip4
	case only6:
		return s.ip6
	case nftables:
		return s.nft
	case both4And6:
		return s.ip4 && s.ip6 || !other(module)
	}
	return false
}

// holderName says who holds a module, as far as its name tells.
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
	return "something that is no module"
}

// hasRules reports whether iptables of a family has rules in the kernel: a table with
// rules holds its own module (do_replace in ip_tables.c).
func hasRules(modules []kmod.ProcModule, f family) bool {
	return slices.ContainsFunc(modules, func(m kmod.ProcModule) bool {
		return familyOf(m.Name) == f && strings.Contains(m.Name, "table_") && m.Uses > len(m.UsedBy)
	})
}

// String is a hold for people: "nf_conntrack_ipv6: 2 uses by IPv6 rules (ip6tables)".
func (h hold) String() string {
	if h.References == 0 {
		return h.Module + ": held by " + h.By
	}
	uses := "uses"
	if h.References == 1 {
		uses = "use"
	}
	return fmt.Sprintf("%s: %d %s by %s", h.Module, h.References, uses, h.By)
}

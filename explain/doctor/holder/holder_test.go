package holder

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/explain/firewall"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/change"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/doctortest"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/reconcile"
)

// centos6 is a host with iptables rules of both IP versions, as CentOS 6 shows
// it; a state rule holds the tracker of its version.
const centos6 = `ip6t_REJECT 4628 2 - Live 0xffffffffa0170000
nf_conntrack_ipv6 7985 2 - Live 0xffffffffa016a000
nf_defrag_ipv6 26468 1 nf_conntrack_ipv6, Live 0xffffffffa015e000
ip6table_filter 2889 1 - Live 0xffffffffa015a000
ip6_tables 18732 1 ip6table_filter, Live 0xffffffffa0150000
ipt_REJECT 2351 2 - Live 0xffffffffa014c000
nf_conntrack_ipv4 9154 2 - Live 0xffffffffa0146000
nf_defrag_ipv4 1483 1 nf_conntrack_ipv4, Live 0xffffffffa0142000
xt_state 1492 4 - Live 0xffffffffa013e000
nf_conntrack 79206 3 nf_conntrack_ipv6,nf_conntrack_ipv4,xt_state, Live 0xffffffffa0120000
iptable_filter 2793 1 - Live 0xffffffffa011c000
ip_tables 17831 1 iptable_filter, Live 0xffffffffa0110000
ipv6 336282 49 ip6t_REJECT,nf_conntrack_ipv6,nf_defrag_ipv6, Live 0xffffffffa00b0000
ext4 379559 1 - Live 0xffffffffa0020000
`

// centos7 has rules of both IP versions too, and NAT for Docker.
const centos7 = `ipt_MASQUERADE 12678 1 - Live 0xffffffffc0650000
nf_nat_masquerade_ipv4 13430 1 ipt_MASQUERADE, Live 0xffffffffc0648000
nf_conntrack_netlink 40492 0 - Live 0xffffffffc0638000
nfnetlink 14519 2 nf_conntrack_netlink, Live 0xffffffffc0630000
iptable_nat 12875 1 - Live 0xffffffffc0628000
nf_nat_ipv4 14115 1 iptable_nat, Live 0xffffffffc0620000
nf_nat 26583 2 nf_nat_masquerade_ipv4,nf_nat_ipv4, Live 0xffffffffc0610000
xt_conntrack 12760 6 - Live 0xffffffffc0600000
nf_conntrack_ipv4 15053 5 - Live 0xffffffffc05f8000
nf_defrag_ipv4 12729 1 nf_conntrack_ipv4, Live 0xffffffffc05f0000
nf_conntrack 139264 6 nf_nat_masquerade_ipv4,nf_conntrack_netlink,nf_nat_ipv4,nf_nat,xt_conntrack,` +
	`nf_conntrack_ipv4, Live 0xffffffffc05c0000
libcrc32c 12644 3 xfs,nf_nat,nf_conntrack, Live 0xffffffffc05b0000
iptable_filter 12810 1 - Live 0xffffffffc05a0000
ip_tables 27126 2 iptable_nat,iptable_filter, Live 0xffffffffc0590000
`

// debian12 has one nf_conntrack for both IP versions, and rules of nftables.
const debian12 = `nft_ct 24576 3 - Live 0x0000000000000000
nf_tables 290816 20 nft_ct, Live 0x0000000000000000
xt_conntrack 16384 2 - Live 0x0000000000000000
nf_conntrack 188416 2 nft_ct,xt_conntrack, Live 0x0000000000000000
nf_defrag_ipv6 24576 1 nf_conntrack, Live 0x0000000000000000
nf_defrag_ipv4 16384 1 nf_conntrack, Live 0x0000000000000000
ip6table_filter 16384 1 - Live 0x0000000000000000
ip6_tables 36864 1 ip6table_filter, Live 0x0000000000000000
iptable_filter 16384 1 - Live 0x0000000000000000
ip_tables 36864 1 iptable_filter, Live 0x0000000000000000
x_tables 61440 5 xt_conntrack,ip6table_filter,ip6_tables,iptable_filter,ip_tables, Live 0x0000000000000000
libcrc32c 16384 2 nf_tables,nf_conntrack, Live 0x0000000000000000
`

// without leaves out the lines of modules, and their names among the users.
func without(modules string, names ...string) string {
	var left []string
	for _, line := range strings.SplitAfter(modules, "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		gone := false
		for _, name := range names {
			gone = gone || fields[0] == name
			if strings.Contains(line, name+",") {
				line = strings.Replace(line, name+",", "", 1)
				fields[2] = minusOne(fields[2])
			}
		}
		if fields = append(fields[:3], strings.Fields(line)[3:]...); fields[3] == "Live" {
			fields = append(append(fields[:3:3], "-"), fields[3:]...)
		}
		if !gone {
			left = append(left, strings.Join(fields, " "))
		}
	}
	return strings.Join(left, "\n") + "\n"
}

func minusOne(digit string) string { return string(digit[0]-1) + digit[1:] }

var (
	iptables  = stop{ip4: true}
	ip6tables = stop{ip6: true}
	firewalld = stop{ip4: true, ip6: true, nft: true}
)
var always, never = func(string) bool { return true }, func(string) bool { return false }

var unloadTests = []struct {
	name    string
	modules string
	stop    stop
	other   func(string) bool
	falls   []string
	holds   []string
}{
	{
		"CentOS 6: ip6tables holds it", centos6, iptables, always, nil,
		[]string{"nf_conntrack_ipv6: 2 uses by IPv6 rules (ip6tables)", "xt_state: 4 uses by rules"},
	},
	{
		"its neighbour has no ip6tables", without(centos6, "nf_conntrack_ipv6", "ip6t_REJECT", "nf_defrag_ipv6",
			"ip6table_filter", "ip6_tables"),
		iptables, never, []string{"nf_conntrack_ipv4", "xt_state", "nf_conntrack"}, nil,
	},
	{
		"CentOS 6: iptables holds it against ip6tables", centos6, ip6tables, never, nil,
		[]string{"nf_conntrack_ipv4: 2 uses by IPv4 rules (iptables)"},
	},
	{
		"CentOS 7 with Docker: its rules are flushed with the others", centos7, iptables, never,
		[]string{"ipt_MASQUERADE", "nf_nat_masquerade_ipv4", "nf_conntrack_netlink", "iptable_nat",
			"nf_nat_ipv4", "nf_nat", "xt_conntrack", "nf_conntrack_ipv4", "nf_conntrack"}, nil,
	},
	{
		"CentOS 7: somebody listens for events", strings.Replace(centos7, "nf_conntrack_netlink 40492 0",
			"nf_conntrack_netlink 40492 1", 1), iptables, never, nil,
		[]string{"nf_conntrack_netlink: 1 use by a program that listens for conntrack events"},
	},
	{
		"CentOS 7: IPVS", "ip_vs 145497 3 - Live 0x0\n" + strings.Replace(centos7, "nf_conntrack 139264 6 ",
			"nf_conntrack 139264 7 ip_vs,", 1), iptables, never, nil,
		[]string{"ip_vs: 3 uses by IPVS"},
	},
	{
		"Open vSwitch", "openvswitch 114842 1 - Live 0x0\nnf_conntrack 139264 1 openvswitch, Live " +
			"0x0\n", firewalld, never, nil,
		[]string{"openvswitch: 1 use by Open vSwitch"},
	},
	{
		"Debian 12: nftables holds it against iptables", debian12, iptables, never, nil,
		[]string{"nft_ct: 3 uses by rules of nftables"},
	},
	{
		"Debian 12: firewalld takes all away", debian12, firewalld, never,
		[]string{"nft_ct", "xt_conntrack", "nf_conntrack"}, nil,
	},
	{
		"nf_conntrack itself is held", "nf_conntrack 139264 1 - Live 0x0\n", firewalld, never, nil,
		[]string{"nf_conntrack: 1 use by something that is not a module"},
	},
	{
		"a kernel that cannot unload", "nf_conntrack 139264 - - Live 0x0\n", firewalld, never, nil,
		[]string{"nf_conntrack: held by this kernel, which cannot unload modules"},
	},
	{"nobody uses it", "nf_conntrack 139264 0 - Live 0x0\n", iptables, never, []string{"nf_conntrack"}, nil},
}

func TestUnloading(t *testing.T) {
	for _, test := range unloadTests {
		t.Run(test.name, func(t *testing.T) {
			falls, holds := unload(kmod.ParseModules([]byte(test.modules)), kmod.Conntrack, test.stop, test.other)
			var held []string
			for _, hold := range holds {
				held = append(held, hold.String())
			}
			if diff := cmp.Diff(test.holds, held); diff != "" {
				t.Errorf("held (-want +got):\n%s", diff)
			}
			if len(falls) > 0 {
				inOrder(t, falls, kmod.ParseModules([]byte(test.modules)))
			}
			if diff := cmp.Diff(asSet(test.falls), asSet(falls)); diff != "" {
				t.Errorf("falls (-want +got):\n%s", diff)
			}
		})
	}
}

func asSet(names []string) map[string]bool {
	set := map[string]bool{}
	for _, name := range names {
		set[name] = true
	}
	return set
}

// inOrder fails where a module would be unloaded before one that uses it.
func inOrder(t *testing.T, falls []string, modules []kmod.ProcModule) {
	t.Helper()
	gone := map[string]bool{}
	for _, name := range falls {
		for _, m := range modules {
			for _, user := range m.UsedBy {
				if m.Name == name && !gone[user] {
					t.Errorf("%s would be unloaded before %s, which uses it", name, user)
				}
			}
		}
		gone[name] = true
	}
}

const iptablesConfig = "/etc/sysconfig/iptables-config"

// withSwitch is a host with modules and the switches of firewalls.
func withSwitch(t *testing.T, modules string, switches ...inventory.ToolOption) *picture.Host {
	t.Helper()
	return &picture.Host{
		Services:  map[string]bool{"iptables": true, "ip6tables": true, "firewalld": true},
		Module:    kmod.Module{State: kmod.Loaded},
		Modules:   kmod.ParseModules([]byte(modules)),
		Inventory: inventory.Inventory{ToolOptions: switches},
		Config:    &config.Config{UsesDefault: true, Desired: reconcile.Desired{Mode: reconcile.Enforce}},
	}
}

func unloadYes(tool string) inventory.ToolOption {
	return inventory.ToolOption{
		Place: tree.Place{File: "/etc/sysconfig/" + tool + "-config", Line: 16},
		Tool:  tool, Name: strings.ToUpper(tool) + "_MODULES_UNLOAD", Value: "yes",
	}
}

var neighbour = "xt_state 1492 2 - Live 0x0\nnf_conntrack_ipv4 9154 2 - Live 0x0\nnf_conntrack 79206 2 " +
	"nf_conntrack_ipv4,xt_state, Live 0x0\niptable_filter 2793 1 - Live 0x0\nip_tables 17831 1 iptable_filter, Live " +
	"0x0\n"

// nothing is the addition to the note if nothing sets the values again.
const nothing = ` Nothing sets them again. Where the modules have to be unloaded, ` +
	`IPTABLES_SYSCTL_LOAD_LIST=".nf_conntrack" in the same file makes the script apply those lines of the sysctl files.`

const neighbours = "Another host keeps its values only where something else holds the module, for example rules of " +
	"the other IP version."

func TestFirewallRestart(t *testing.T) {
	h := withSwitch(t, neighbour, unloadYes("iptables"))
	doctortest.Check(t, Check(h), []finding.Finding{{
		ID: "firewall-restart-resets", Severity: finding.Warning,
		Summary: "a restart of iptables unloads nf_conntrack and loads it again: its values are reset to the " +
			"kernel's defaults",
		Evidence: []finding.Evidence{
			finding.Seen(iptablesConfig, 16, "IPTABLES_MODULES_UNLOAD=yes"),
			finding.Seen("/proc/modules", 0, "would be unloaded: "+strings.Join(append(kmod.Users(h.Modules,
				kmod.Conntrack), kmod.Conntrack), ", ")),
		},
		Fix:  []finding.Step{change.Block("Edit " + iptablesConfig + ":16 by hand.")},
		Note: neighbours + nothing,
	}})
	doctortest.Check(t, Check(withSwitch(t, centos6, unloadYes("iptables"))), []finding.Finding{{
		ID: "module-held", Severity: finding.Info,
		Summary: "a restart of iptables does not unload nf_conntrack, because nf_conntrack_ipv6 holds it; a host " +
			"without that resets to the kernel's defaults",
		Evidence: []finding.Evidence{
			finding.Seen(iptablesConfig, 16, "IPTABLES_MODULES_UNLOAD=yes"),
			finding.Seen("/proc/modules", 0, "nf_conntrack_ipv6: 2 uses by IPv6 rules (ip6tables)"),
			finding.Seen("/proc/modules", 0, "xt_state: 4 uses by rules"),
		},
	}})
}

func TestFirewallRestartByDefault(t *testing.T) {
	s := unloadYes("iptables")
	s.Default, s.Line = true, 0
	f := doctortest.Find(t, Check(withSwitch(t, neighbour, s)), "firewall-restart-resets")
	if diff := cmp.Diff([]finding.Step{doctortest.Edit(iptablesConfig, 1, "", `IPTABLES_MODULES_UNLOAD="no"`)},
		f.Fix); diff != "" {
		t.Errorf("fix (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(finding.Seen(iptablesConfig, 0, "IPTABLES_MODULES_UNLOAD=yes (the default)"),
		f.Evidence[0]); diff != "" {
		t.Errorf("evidence (-want +got):\n%s", diff)
	}
}

// A daemon that runs repairs at once: worth knowing, nothing to do.
func TestFirewallRestartUnderTheDaemon(t *testing.T) {
	h := withSwitch(t, neighbour, unloadYes("iptables"))
	yes := true
	h.Env = picture.Environment{Enabled: true, Running: &yes}
	f := doctortest.Find(t, Check(h), "firewall-restart-resets")
	want := "a restart of iptables unloads nf_conntrack and loads it again: its values are reset to the kernel's " +
		"defaults; ctkeeper repairs them at once"
	if f.Severity != finding.Info || len(f.Fix) > 0 || f.Summary != want {
		t.Errorf("%s %q, fix %v", f.Severity, f.Summary, f.Fix)
	}
	h.Config.Mode = reconcile.Observe
	if f := doctortest.Find(t, Check(h), "firewall-restart-resets"); f.Severity != finding.Warning {
		t.Errorf("in observe mode: %s", f.Severity)
	}
}

// The note names what the firewall sets again after its restart.
func TestFirewallRestartLoadList(t *testing.T) {
	h := withSwitch(t, neighbour, unloadYes("iptables"))
	h.Inventory.Assignments = []inventory.Assignment{
		{Place: tree.Place{File: "/etc/sysctl.conf", Line: 3}, Name: "max", Key: "net.nf_conntrack_max",
			Value: "131072", Tool: "iptables", Phase: inventory.AtFirewallStart},
		{Place: tree.Place{File: "/etc/sysctl.conf", Line: 4}, Name: "acct", Key: "net.netfilter.nf_conntrack_acct",
			Value: "1", Tool: "sysctl", Phase: inventory.AtBoot},
	}
	f := doctortest.Find(t, Check(h), "firewall-restart-resets")
	if want := neighbours + " iptables then sets nf_conntrack_max again, and nothing else."; f.Note != want {
		t.Errorf("note %q, want %q", f.Note, want)
	}
	if got := f.Evidence[len(f.Evidence)-1]; got != finding.Seen("/etc/sysctl.conf", 3,
		"net.nf_conntrack_max = 131072") {
		t.Errorf("evidence %v", got)
	}
}

// What is done at each load of the module comes back too: firewalld's hook in
// modprobe.d, a udev rule.
func TestFirewallRestartWithHook(t *testing.T) {
	h := withSwitch(t, neighbour, unloadYes("iptables"))
	h.Inventory.Assignments = []inventory.Assignment{
		{Place: tree.Place{File: "/etc/sysctl.conf", Line: 3}, Name: "max", Key: "net.nf_conntrack_max",
			Value: "131072", Tool: "modprobe", Phase: inventory.AfterModuleLoad},
		{Place: tree.Place{File: "/etc/udev/rules.d/x.rules", Line: 1}, Name: "acct",
			Key: "net/netfilter/nf_conntrack_acct", Value: "1", Tool: "udev", Phase: inventory.AfterModuleLoad},
	}
	f := doctortest.Find(t, Check(h), "firewall-restart-resets")
	if want := neighbours + " modprobe and udev then set nf_conntrack_max, nf_conntrack_acct again, and nothing " +
		"else."; f.Note != want {
		t.Errorf("note %q, want %q", f.Note, want)
	}
}

// An absent module that the configuration needs was loaded before, or will be.
func TestFirewallRestartAbsent(t *testing.T) {
	h := withSwitch(t, "ip_tables 17831 0 - Live 0x0\n", unloadYes("iptables"))
	h.Module.State = kmod.Absent
	h.Inventory.EarlyLoads = []tree.Place{{File: "/etc/modules-load.d/x.conf", Line: 1}}
	f := doctortest.Find(t, Check(h), "firewall-restart-resets")
	if want := neighbours + nothing + " What else would hold the module can only be seen while it is " +
		"loaded."; f.Note != want {
		t.Errorf("note %q, want %q", f.Note, want)
	}
}

// firewalld before 1.0 has no switch of its own for the modules.
func TestFirewallRestartOldFirewalld(t *testing.T) {
	const file = "/etc/firewalld/firewalld.conf"
	h := withSwitch(t, neighbour,
		inventory.ToolOption{Place: tree.Place{File: file, Line: 7}, Tool: "firewalld", Name: "CleanupOnExit",
			Value: "yes"},
		inventory.ToolOption{Place: tree.Place{File: file}, Tool: "firewalld", Name: "CleanupModulesOnExit",
			Value: "yes", Default: true},
	)
	doctortest.SetFiles(t, h, map[string]string{file[1:]: strings.Repeat("#\n", 6) + "CleanupOnExit=yes\n"})
	if f := doctortest.Find(t, Check(h), "firewall-restart-resets"); f.Severity != finding.Info || len(f.Fix) > 0 {
		t.Errorf("as it is installed, and nothing is set: %s, fix %v", f.Severity, f.Fix)
	}
	h.Inventory.Assignments = []inventory.Assignment{doctortest.Sysctl(doctortest.SiteConf, 1, doctortest.NetMax, "1")}
	f := doctortest.Find(t, Check(h), "firewall-restart-resets")
	if diff := cmp.Diff([]finding.Step{doctortest.Edit(file, 7, "CleanupOnExit=yes", "CleanupOnExit=no")},
		f.Fix); diff != "" {
		t.Errorf("fix (-want +got):\n%s", diff)
	}
	if f.Evidence[0] != finding.Seen(file, 7, "CleanupOnExit=yes") {
		t.Errorf("evidence %v", f.Evidence)
	}
	want := neighbours + " firewalld reads this option when it starts. It tries once to unload each module, so a " +
		"single restart can leave it loaded. This version, before 1.0, unloads the modules together with its " +
		"rules: with CleanupOnExit=no both stay when it stops. Nothing sets them again."
	if f.Note != want {
		t.Errorf("note %q, want %q", f.Note, want)
	}
}

func firewalldOption(name, value string) inventory.ToolOption {
	return inventory.ToolOption{
		Place: tree.Place{File: "/etc/firewalld/firewalld.conf", Line: 8}, Tool: "firewalld", Name: name, Value: value,
	}
}

// firewalld removes its own table of nf_tables and flushes those of iptables-nft. Others hold the module.
func TestFirewalldForeignTables(t *testing.T) {
	h := withSwitch(t, debian12, firewalldOption("CleanupModulesOnExit", "yes"))
	h.Rules.NftTables = map[string]string{"inet firewalld": "nft_ct", "ip nat": "nft_chain_nat"}
	doctortest.Find(t, Check(h), "firewall-restart-resets")
	h.Rules.NftTables["inet filter"] = "nft_ct"
	f := doctortest.Find(t, Check(h), "module-held")
	want := finding.Seen("/proc/modules", 0, "nft_ct: held by nftables in the table inet filter")
	if len(f.Evidence) != 2 || f.Evidence[1] != want {
		t.Errorf("evidence %v, want %v", f.Evidence, want)
	}
}

// Since 2.0 firewalld leaves iptables alone, and its rules hold the module, unless they are firewalld's.
func TestFirewalldLeavesIptables(t *testing.T) {
	backend := firewalldOption("FirewallBackend", "nftables")
	h := withSwitch(t, debian12, firewalldOption("CleanupModulesOnExit", "yes"), backend)
	f := doctortest.Find(t, Check(h), "module-held")
	if want := finding.Seen("/proc/modules", 0, "xt_conntrack: 2 uses by rules"); f.Evidence[1] != want {
		t.Errorf("evidence %v, want %v", f.Evidence, want)
	}
	h.Rules.Sources = []string{"/etc/firewalld/direct.xml"}
	doctortest.Find(t, Check(h), "firewall-restart-resets")
	h.Rules.Sources, h.Inventory.ToolOptions[1].Value = nil, "iptables"
	doctortest.Find(t, Check(h), "firewall-restart-resets")

	h = withSwitch(t, without(debian12, "xt_conntrack"), firewalldOption("CleanupModulesOnExit", "yes"), backend)
	doctortest.Find(t, Check(h), "firewall-restart-resets")
	h.Rules.NftTables = map[string]string{"ip nat": "nft_chain_nat"}
	doctortest.Find(t, Check(h), "module-held")
}

// Where the rules stay, they hold the modules.
func TestFirewalldKeepsItsRules(t *testing.T) {
	h := withSwitch(t, debian12, firewalldOption("CleanupModulesOnExit", "yes"), firewalldOption("CleanupOnExit", "no"))
	doctortest.Check(t, Check(h), nil)
}

func TestFirewallRestartSilent(t *testing.T) {
	no := unloadYes("iptables")
	no.Value = "no"
	firewalld := inventory.ToolOption{Place: tree.Place{File: "/etc/firewalld/firewalld.conf"}, Tool: "firewalld",
		Name: "CleanupModulesOnExit", Value: "no", Default: true}
	for name, test := range map[string]struct {
		modules string
		s       inventory.ToolOption
		state   kmod.State
		service bool
	}{
		"configured to keep them":     {neighbour, no, kmod.Loaded, true},
		"firewalld's default":         {neighbour, firewalld, kmod.Loaded, true},
		"built in":                    {"", unloadYes("iptables"), kmod.BuiltIn, true},
		"not loaded":                  {"", unloadYes("iptables"), kmod.Absent, true},
		"no table of its own to stop": {debian12, unloadYes("arptables"), kmod.Loaded, true},
		"iptables without ip_tables": {"nf_conntrack 79206 0 - Live 0x0\n", unloadYes("iptables"), kmod.Loaded,
			true},
		"firewalld in place of a script": {neighbour, unloadYes("iptables"), kmod.Loaded, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := withSwitch(t, test.modules, test.s)
			h.Module.State = test.state
			h.Services = map[string]bool{"iptables": test.service, "arptables": true, "firewalld": true}
			doctortest.Check(t, Check(h), nil)
		})
	}
}

// On a disk nobody can see what would hold the module.
func TestFirewallRestartOffline(t *testing.T) {
	h := withSwitch(t, "", unloadYes("iptables"))
	h.Offline, h.Module = true, kmod.Module{}
	f := doctortest.Find(t, Check(h), "firewall-restart-resets")
	if want := neighbours + nothing + " What else would hold the module cannot be seen here."; f.Note != want {
		t.Errorf("note %q, want %q", f.Note, want)
	}
}

// /proc/modules counts the uses of a match by rules of both versions together; the
// saved rules tell whose they are.
func TestOtherFamilyUses(t *testing.T) {
	const rules = "*filter\n:INPUT ACCEPT [0:0]\n%s\nCOMMIT\n"
	for name, test := range map[string]struct {
		modules, rules string
		want           bool
	}{
		"no IPv6 rules at all":    {neighbour, "", false},
		"IPv6 rules nobody saved": {centos6, "", true},
		"IPv6 rules with a state": {centos6, strings.Replace(rules, "%s",
			"-A INPUT -m state --state ESTABLISHED -j ACCEPT", 1), true},
		"IPv6 rules without state": {centos6, strings.Replace(rules, "%s", "-A INPUT -p tcp -j ACCEPT", 1), false},
	} {
		t.Run(name, func(t *testing.T) {
			h := withSwitch(t, test.modules)
			if test.rules != "" {
				saved := firewall.ParseIptablesSave("ip6tables", []byte(test.rules)).Modules
				h.SavedModules = map[string]map[string]tree.Place{"ip6tables": saved}
			}
			if got := otherFamilyUses(h, stop{ip4: true}, "xt_state"); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// Without a line there is one to append, also behind a last line without an end.
func TestFixOfADefault(t *testing.T) {
	s := unloadYes("iptables")
	s.Default, s.Line = true, 0
	h := withSwitch(t, neighbour, s)
	root := doctortest.SetFiles(t, h, map[string]string{"etc/sysconfig/iptables-config": `IPTABLES_MODULES=""`})
	doctortest.Apply(t, root, Check(h)[0].Fix)
	want := "IPTABLES_MODULES=\"\"\nIPTABLES_MODULES_UNLOAD=\"no\"\n"
	if diff := cmp.Diff(want, doctortest.Read(t, root, iptablesConfig)); diff != "" {
		t.Errorf("after (-want +got):\n%s", diff)
	}
}

func TestFixKeepsModules(t *testing.T) {
	doctortest.FixTwice(t, withSwitch(t, neighbour, unloadYes("iptables")), Check, iptablesConfig,
		strings.Repeat("#\n", 15)+"IPTABLES_MODULES_UNLOAD=\"yes\"\n",
		strings.Repeat("#\n", 15)+"IPTABLES_MODULES_UNLOAD=\"no\"\n",
	)
}

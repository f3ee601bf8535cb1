package expectation

import (
	"testing"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/explain/firewall"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/change"
	"github.com/ctkeeper/ctkeeper/host/distro"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/doctortest"
	"github.com/ctkeeper/ctkeeper/kmod"
)

const securityNote = "A helper trusts what the peers send: with a helper that no rule attaches, they can open " +
	"ports of the firewall. Therefore the kernel's default is off since 4.7. " +
	"Before you turn it off, write a rule for each flow that needs a helper, for example: iptables -t raw -A " +
	"PREROUTING -p udp --dport 5060 -j CT --helper sip"

var option = inventory.Inventory{Assignments: []inventory.Assignment{{
	Place: tree.Place{File: "/etc/modprobe.d/x.conf",
		Line: 2}, Name: "nf_conntrack_helper", Parameter: true, Key: "nf_conntrack_helper", Value: "1",
}}}
var inFile = firewall.Rules{Helpers: []firewall.HelperRule{{Place: tree.Place{File: "/etc/sysconfig/iptables",
	Line: 9}, Name: "sip", Rule: sipRule}}}
var fileEvidence = finding.At(tree.Place{File: "/etc/sysconfig/iptables", Line: 9}, sipRule)
var index = kmod.Index{Dir: "/lib/modules/" + doctortest.Release,
	Files: map[string]string{"nf_conntrack_sip": "kernel/net/netfilter/nf_conntrack_sip.ko"}}

var helperTests = map[string]struct {
	host  *picture.Host
	check picture.Check
	want  []finding.Finding
}{
	"automatic": {&picture.Host{Settings: map[string]string{"helper": "1"}, Env: doctortest.Service()},
		checkAutomatic, []finding.Finding{{
			ID: "helper-automatic", Severity: finding.Info, Summary: "helpers are attached to every " +
				"connection by " +
				"its port number alone",
			Evidence: []finding.Evidence{finding.Seen(helperFile, 0, "1")}, Note: securityNote,
		}}},
	"automatic at the next boot": {&picture.Host{Inventory: option, Env: doctortest.Service()}, checkAutomatic,
		[]finding.Finding{{
			ID: "helper-automatic", Severity: finding.Info, Summary: "helpers are attached to every " +
				"connection by " +
				"its port number alone",
			Evidence: []finding.Evidence{finding.Seen("/etc/modprobe.d/x.conf", 2,
				"nf_conntrack_helper=1")}, Note: securityNote,
		}}},
	"a kernel that has it no longer": {&picture.Host{Inventory: option,
		Settings: map[string]string{"max": "65536"}}, checkAutomatic, nil},
	"off": {&picture.Host{Settings: map[string]string{"helper": "0"}},
		checkAutomatic, nil},
	"off by the configuration": {&picture.Host{Inventory: option, Config: doctortest.Config("helper",
		"0")}, checkAutomatic, nil},
	"automatic by firewalld, on a disk": {
		&picture.Host{Env: doctortest.Service(), Inventory: inventory.Inventory{ToolOptions: []inventory.ToolOption{
			{Place: tree.Place{File: "/etc/firewalld/firewalld.conf", Line: 6}, Tool: "firewalld",
				Name: "AutomaticHelpers", Value: "yes"},
		}}}, checkAutomatic, []finding.Finding{{
			ID: "helper-automatic", Severity: finding.Info, Summary: "helpers are attached to every " +
				"connection by its port number alone",
			Evidence: []finding.Evidence{finding.Seen("/etc/firewalld/firewalld.conf", 6,
				"AutomaticHelpers=yes")}, Note: securityNote,
		}},
	},
	"a module without a file": {
		&picture.Host{Rules: inFile, Index: kmod.Index{Dir: "/lib/modules/" + doctortest.Release},
			Release: doctortest.Release, Distro: distro.Distribution{ID: "debian"}},
		checkHelperModules,
		[]finding.Finding{{
			ID: "helper-module-missing", Severity: finding.Error, Summary: "a firewall rule needs the helper " +
				"sip, and nf_conntrack_sip has no file for this kernel",
			Evidence: []finding.Evidence{fileEvidence,
				finding.Seen("/lib/modules/"+doctortest.Release+"/modules.dep", 0, "no nf_conntrack_sip")},
			Fix: distro.Distribution{ID: "debian"}.ReinstallKernel(doctortest.Release),
		}},
	},
	"a blacklisted module": {
		&picture.Host{Rules: inFile, Index: index,
			Inventory: inventory.Inventory{Modprobe: kmod.Modprobe{Directives: []kmod.Directive{
				{Place: tree.Place{File: "/etc/modprobe.d/x.conf", Line: 3}, Kind: "blacklist",
					Module: "nf_conntrack_sip"},
				{Place: tree.Place{File: "/etc/modprobe.d/x.conf", Line: 7}, Kind: "install",
					Module: "nf_conntrack_sip", Args: "/bin/false"},
				{Place: tree.Place{File: "/usr/lib/modprobe.d/y.conf", Line: 1}, Kind: "install",
					Module: "nf_conntrack_sip", Args: "/bin/sh -c 'exit 1'"},
				{Place: tree.Place{File: "/etc/modprobe.d/x.conf", Line: 8}, Kind: "install",
					Module: "nf_conntrack_sip", Args: "/sbin/modprobe -i nf_conntrack_sip"},
			}}}}, checkHelperModules, []finding.Finding{{
			ID: "helper-module-missing", Severity: finding.Error, Summary: "a firewall rule needs the helper " +
				"sip, and nf_conntrack_sip is blocked from loading",
			Evidence: []finding.Evidence{
				fileEvidence, finding.Seen("/etc/modprobe.d/x.conf", 3, "blacklist nf_conntrack_sip"),
				finding.Seen("/etc/modprobe.d/x.conf", 7,
					"install nf_conntrack_sip "+
						"/bin/false"), finding.Seen("/usr/lib/modprobe.d/y.conf", 1, "install nf_conntrack_sip "+
					"/bin/sh -c 'exit 1'"),
			},
			Fix: []finding.Step{
				change.Block("Edit /etc/modprobe.d/x.conf:3 by hand."),
				change.Block("Edit /etc/modprobe.d/x.conf:7 by hand."),
				change.Run("install", "-D", "-m", "644", "/usr/lib/modprobe.d/y.conf", "/etc/modprobe.d/y.conf"),
				change.Block("Edit /usr/lib/modprobe.d/y.conf:1 by hand."),
			},
		}},
	},
	"a module that a rule will load": {&picture.Host{Rules: inFile, Index: index}, checkHelperModules, nil},
	"a helper in user " +
		"space": {&picture.Host{Rules: firewall.Rules{Helpers: []firewall.HelperRule{{Name: "ssdp"}}},
		Index: index}, checkHelperModules, nil},
	"loaded without a rule": {&picture.Host{Rules: firewall.Rules{Sources: []string{"iptables-save"}},
		HelperModules: sipModule()}, checkUnusedHelpers, []finding.Finding{{
		ID: "helper-without-rule", Severity: finding.Info, Summary: "helper modules are loaded, and no rule " +
			"attaches them to a connection",
		Evidence: []finding.Evidence{finding.Seen("/sys/module/nf_conntrack_sip", 0, "loaded")},
		Note: "A helper does nothing until a rule attaches it (-j CT --helper in iptables' raw table, a ct " +
			"helper object in nft): since 4.7 the kernel does not attach it by itself.",
	}}},
	"loaded with a rule": {&picture.Host{Rules: sipRules(), HelperModules: sipModule()}, checkUnusedHelpers, nil},
	"loaded, and automatic": {
		&picture.Host{Rules: firewall.Rules{Sources: []string{"iptables-save"}}, HelperModules: sipModule(),
			Settings: map[string]string{"helper": "1"}}, checkUnusedHelpers, nil,
	},
	"loaded, and the rules cannot be read": {&picture.Host{HelperModules: sipModule()}, checkUnusedHelpers, nil},
	"part of the kernel": {
		&picture.Host{Rules: firewall.Rules{Sources: []string{"iptables-save"}},
			HelperModules: []picture.HelperModule{{Name: "nf_conntrack_sip",
				State: kmod.BuiltIn}}}, checkUnusedHelpers, nil,
	},
	"listed": {
		&picture.Host{Rules: sipRules(), HelperModules: sipModule(), HelperCounts: map[string]int64{"sip": 2},
			Inventory: inventory.Inventory{ToolOptions: []inventory.ToolOption{
				{Place: tree.Place{File: "/etc/shorewall/shorewall.conf", Line: 3}, Tool: "shorewall",
					Name: "STARTUP_ENABLED", Value: "Yes"},
				{Place: tree.Place{File: "/etc/shorewall/shorewall.conf", Line: 5}, Tool: "shorewall",
					Name: "AUTOHELPERS", Value: "Yes", Default: true},
				{Place: tree.Place{File: "/etc/shorewall/shorewall.conf", Line: 6}, Tool: "shorewall",
					Name: "HELPERS", Value: "sip,ftp"},
				{Place: tree.Place{File: "/etc/firewalld/firewalld.conf", Line: 6}, Tool: "firewalld",
					Name: "AutomaticHelpers", Value: "system"},
			}}}, checkHelpers, []finding.Finding{{
			ID: "helpers", Severity: finding.Info, Summary: "conntrack helpers are in use or loaded: they fill " +
				"the expectation table",
			Evidence: []finding.Evidence{
				finding.At(tree.Place{File: "iptables-save", Line: 4}, sipRule),
				finding.Seen("/etc/shorewall/shorewall.conf", 5,
					"AUTOHELPERS=Yes (the "+
						"default)"), finding.Seen("/etc/shorewall/shorewall.conf", 6, "HELPERS=sip,ftp"),
				finding.Seen("/sys/module/nf_conntrack_sip", 0, "loaded"),
				finding.Seen("/sys/module/nf_conntrack_sip/parameters/ports", 0,
					"5060"), finding.Seen("/sys/module/nf_conntrack_sip/parameters/sip_direct_media", 0, "1"),
				finding.Seen(picture.ExpectationsFile, 0, "sip: 2"),
			},
		}},
	},
	"none to list": {&picture.Host{HelperModules: []picture.HelperModule{{Name: "nf_conntrack_sip",
		State: kmod.BuiltIn}}}, checkHelpers, nil},
}

func TestHelperFindings(t *testing.T) {
	for name, test := range helperTests {
		t.Run(name, func(t *testing.T) { doctortest.Check(t, test.check(test.host), test.want) })
	}
}

// TestUsesHelper: who attaches the SIP helper.
func TestUsesHelper(t *testing.T) {
	shorewall := func(startup, auto, helpers string) inventory.Inventory {
		return inventory.Inventory{ToolOptions: []inventory.ToolOption{
			{Tool: "shorewall", Name: "STARTUP_ENABLED", Value: startup}, {Tool: "shorewall", Name: "AUTOHELPERS",
				Value: auto},
			{Tool: "shorewall", Name: "HELPERS", Value: helpers},
		}}
	}
	listed := []kmod.ProcModule{{Name: "nf_conntrack_sip", State: "Live"}}
	tests := map[string]struct {
		host *picture.Host
		want bool
	}{
		"nobody":           {&picture.Host{}, false},
		"the module alone": {&picture.Host{HelperModules: sipModule()}, false},
		"a rule":           {&picture.Host{Rules: sipRules()}, true},
		"a rule of another " +
			"helper": {&picture.Host{Rules: firewall.Rules{Helpers: []firewall.HelperRule{{Name: "ftp"}}}}, false},
		"the kernel": {&picture.Host{HelperModules: sipModule(),
			Settings: map[string]string{"helper": "1"}}, true},
		"the kernel, without the module": {&picture.Host{Settings: map[string]string{"helper": "1"}}, false},
		"the kernel may not": {&picture.Host{HelperModules: sipModule(),
			Settings: map[string]string{"helper": "0"}}, false},
		"a kernel that has no other way": {&picture.Host{Modules: listed,
			Settings: map[string]string{"max": "65536"}}, true},
		"a kernel that no longer does": {&picture.Host{Modules: listed,
			Settings: map[string]string{"max": "65536", "tcp_ignore_invalid_rst": "0"}}, false},
		"Shorewall": {&picture.Host{HelperModules: sipModule(),
			Inventory: shorewall("Yes", "Yes", "")}, true},
		"Shorewall, without the module": {&picture.Host{Inventory: shorewall("Yes", "Yes", "")}, false},
		"Shorewall, by name":            {&picture.Host{Inventory: shorewall("Yes", "Yes", "ftp,sip")}, true},
		"Shorewall, others by name": {&picture.Host{HelperModules: sipModule(),
			Inventory: shorewall("Yes", "Yes", "ftp,sipx")}, false},
		"Shorewall that does not start": {&picture.Host{HelperModules: sipModule(),
			Inventory: shorewall("No", "Yes", "")}, false},
		"Shorewall with rules written by hand": {&picture.Host{HelperModules: sipModule(),
			Inventory: shorewall("Yes", "No", "sip")}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := usesHelper(test.host, "sip"); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

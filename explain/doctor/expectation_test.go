package doctor

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/explain/firewall"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/distro"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
	"github.com/ctkeeper/ctkeeper/kmod"
)

const sipRule = "-A PREROUTING -p udp -m udp --dport 5060 -j CT --helper sip"

// sipRules is the rule in the kernel.
func sipRules() firewall.Rules {
	return firewall.Rules{
		Sources: []string{"iptables-save"},
		Helpers: []firewall.HelperRule{{Place: tree.Place{File: "iptables-save", Line: 4}, Name: "sip", Rule: sipRule, Live: true}},
	}
}

func sipModule() []HelperModule {
	return []HelperModule{{Name: "nf_conntrack_sip", State: kmod.Loaded, Parameters: []Evidence{
		seen("/sys/module/nf_conntrack_sip/parameters/ports", 0, "5060"),
		seen("/sys/module/nf_conntrack_sip/parameters/sip_direct_media", 0, "1"),
	}}}
}

func raised(needed, buckets string) []string {
	return []string{
		makeDropIns + "'settings:' '  expect_max: " + needed + "' 'module:' '  parameters:' '    expect_hashsize: " + buckets + "' > /etc/ctkeeper/conf.d/60-expectations.yaml",
		"ctkeeper persist", reload,
	}
}

const raisedNote = "expect_max is in force at once; expect_hashsize, which makes it come up right with the module, at its next load."

func TestExpectations(t *testing.T) {
	rule := Evidence{tree.Place{File: "iptables-save", Line: 4}, sipRule}
	refused := logOf(
		"nf_conntrack: nf_conntrack: expectation table full",
		"nf_ct_sip: dropping packet: all ports in use for SDP media IN= OUT= SRC=192.0.2.1 DST=192.0.2.2",
		"nf_ct_sip: dropping packet: all ports in use for SDP media IN= OUT= SRC=192.0.2.3 DST=192.0.2.2",
		"nf_ct_sip: dropping packet: cannot parse SDP message IN= OUT=",
		"helper sip dropping packet: cannot add expectation for voice IN=eth0 OUT=",
	)
	refusedEvidence := []Evidence{
		seen("/dev/kmsg", 0, "nf_conntrack: expectation table full (at 2026-03-01 10:00:00)"),
		seen("/dev/kmsg", 0, "nf_ct_sip: dropping packet: all ports in use for SDP media (2 times, 2026-03-01 10:01:00 to 2026-03-01 10:02:00)"),
		seen("/dev/kmsg", 0, "helper sip dropping packet: cannot add expectation for voice (at 2026-03-01 10:04:00)"),
	}
	tests := map[string]struct {
		host *Host
		ask  check
		want []Finding
	}{
		"nothing is known": {&Host{}, expectationTable, nil},
		"room enough":      {&Host{Figures: figures(0, 65536, 65536, 200, 256)}, expectationTable, nil},
		"no limit":         {&Host{Figures: figures(0, 65536, 65536, 200, -1)}, expectationTable, nil},
		"full": {
			&Host{
				Figures: figures(0, 65536, 65536, 256, 256), Rules: sipRules(), Place: service(),
				ExpectationsBy: map[string]int64{"ftp": 1, "sip": 254, "": 1},
			}, expectationTable, []Finding{{
				ID: "expectation-table-full", Severity: Error, Summary: "the expectation table is full: 256 of 256",
				Evidence: []Evidence{
					seen(expectations, 0, "256 expectations"), seen(expectMaxFile, 0, "256"),
					seen(expectations, 0, "sip: 254"), seen(expectations, 0, "without a helper: 1"), seen(expectations, 0, "ftp: 1"), rule,
				}, Fix: raised("8192", "2048"), Note: raisedNote,
			}},
		},
		"full though large": {&Host{Figures: figures(0, 65536, 65536, 8192, 8192), Place: service()}, expectationTable, []Finding{{
			ID: "expectation-table-full", Severity: Error, Summary: "the expectation table is full: 8192 of 8192",
			Evidence: []Evidence{seen(expectations, 0, "8192 expectations"), seen(expectMaxFile, 0, "8192")},
			Fix:      raised("32768", "8192"), Note: raisedNote,
		}}},
		"filling": {&Host{Figures: figures(0, 65536, 65536, 8200, 10240), Place: service()}, expectationTable, []Finding{{
			ID: "expectation-table-filling", Severity: Warning, Summary: "the expectation table is 80 % full: 8200 of 10240",
			Evidence: []Evidence{seen(expectations, 0, "8200 expectations"), seen(expectMaxFile, 0, "10240")},
			Fix:      raised("32768", "8192"), Note: raisedNote,
		}}},
		"full in a built-in conntrack": {&Host{Figures: figures(0, 65536, 65536, 256, 256), Module: kmod.Module{State: kmod.BuiltIn}}, expectationTable, []Finding{{
			ID: "expectation-table-full", Severity: Error, Summary: "the expectation table is full: 256 of 256",
			Evidence: []Evidence{seen(expectations, 0, "256 expectations"), seen(expectMaxFile, 0, "256")},
			Fix:      []string{makeDropIns + "'settings:' '  expect_max: 8192' > /etc/ctkeeper/conf.d/60-expectations.yaml", "ctkeeper apply"},
			Note:     "The module is part of the kernel: its hash table for expectations is sized on the kernel's command line (nf_conntrack.expect_hashsize=2048); without it the limit holds all the same, with longer hash chains.",
		}}},
		"full in a container": {&Host{Figures: figures(0, 65536, 65536, 256, 256), Place: Place{ChildNetns: true}}, expectationTable, []Finding{{
			ID: "expectation-table-full", Severity: Error, Summary: "the expectation table is full: 256 of 256",
			Evidence: []Evidence{seen(expectations, 0, "256 expectations"), seen(expectMaxFile, 0, "256")},
			Note:     "expect_max belongs to the host's first network namespace: raise it there, on the host.",
		}}},
		"full, and the configuration asks for more": {
			&Host{
				Figures: figures(0, 65536, 65536, 256, 256), Place: service(),
				Config: asks(t, "expect_max", "8192"), Settings: map[string]string{"expect_max": "256"},
			}, expectationTable, []Finding{{
				ID: "expectation-table-full", Severity: Error, Summary: "the expectation table is full: 256 of 256",
				Evidence: []Evidence{seen(expectations, 0, "256 expectations"), seen(expectMaxFile, 0, "256")},
				Fix:      []string{reload}, Note: "The configuration asks for 8192 (/etc/ctkeeper/ctkeeper.yaml:2), and that is not in force.",
			}},
		},
		"the log of the fourth report": {
			&Host{Figures: figures(0, 65536, 16384, 3, 256), Rules: sipRules(), Log: refused, Place: service()}, expectationDrops, []Finding{{
				ID: "expectation-drops", Severity: Error, Summary: "the expectation table was full: calls and transfers through this host fail",
				Evidence: append(append([]Evidence{}, refusedEvidence...), seen(expectMaxFile, 0, "256"), rule),
				Fix:      raised("8192", "2048"), Note: raisedNote,
			}},
		},
		"the log without a full table": {
			&Host{Log: logOf("nf_ct_ftp: dropping packet: all ports in use IN= OUT="), Place: service()}, expectationDrops, []Finding{{
				ID: "expectation-drops", Severity: Warning, Summary: "helpers were refused expectations: calls and transfers through this host fail",
				Evidence: []Evidence{seen("/dev/kmsg", 0, "nf_ct_ftp: dropping packet: all ports in use (at 2026-03-01 10:00:00)")},
				Fix:      raised("8192", "2048"), Note: "One connection may also have reached its helper's own limit, or a range of NAT ports is used up. " + raisedNote,
			}},
		},
		"the log of the time before the configuration": {
			&Host{
				Figures: figures(0, 65536, 16384, 3, 8192), Log: refused, Place: Place{Configured: time.Date(2026, 3, 1, 11, 0, 0, 0, time.UTC)},
				Config: asks(t, "expect_max", "8192"), Settings: map[string]string{"expect_max": "8192"},
			}, expectationDrops, []Finding{{
				ID: "expectation-drops", Severity: Info, Summary: "the expectation table was full: calls and transfers through this host fail",
				Evidence: append(append([]Evidence{}, refusedEvidence...), seen(expectMaxFile, 0, "8192")),
				Note:     "The configuration was changed since the last of these messages, and what it asks for is in force.",
			}},
		},
		"small, and nobody uses helpers": {&Host{Figures: figures(0, 65536, 16384, 0, 256)}, expectMaxSmall, nil},
		"small": {&Host{Figures: figures(0, 65536, 16384, 0, 256), Rules: sipRules(), Place: service()}, expectMaxSmall, []Finding{{
			ID: "expect-max-small", Severity: Warning, Summary: "expect_max is 256, the kernel's own small limit, and helpers are in use",
			Evidence: []Evidence{seen(expectMaxFile, 0, "256"), rule}, Fix: raised("8192", "2048"), Note: raisedNote,
		}}},
		"1024 is small for SIP": {&Host{Figures: figures(0, 65536, 65536, 0, 1024), Rules: sipRules(), Place: service()}, expectMaxSmall, []Finding{{
			ID: "expect-max-small", Severity: Warning, Summary: "expect_max is 1024, the kernel's own small limit, and helpers are in use",
			Evidence: []Evidence{seen(expectMaxFile, 0, "1024"), rule}, Fix: raised("8192", "2048"), Note: raisedNote,
		}}},
		"1024 by somebody's choice": {
			&Host{
				Figures: figures(0, 65536, 65536, 0, 1024), Rules: sipRules(),
				Inventory: inventory.Inventory{Assignments: []inventory.Assignment{{Name: "expect_hashsize", Parameter: true, Value: "256"}}},
			}, expectMaxSmall, nil,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { wants(t, test.ask(test.host), test.want) })
	}
}

func TestHelperFindings(t *testing.T) {
	const securityNote = "A helper believes what the peers write: one that nobody asked for lets them open ports of the firewall, which is why the kernel's default is off since 4.7. " +
		"Before you turn it off give each flow that needs a helper a rule of its own, as: iptables -t raw -A PREROUTING -p udp --dport 5060 -j CT --helper sip"
	off := []string{makeDropIns + "'settings:' '  helper: false' > /etc/ctkeeper/conf.d/60-helpers.yaml", reload}
	option := inventory.Inventory{Assignments: []inventory.Assignment{{
		Place: tree.Place{File: "/etc/modprobe.d/x.conf", Line: 2}, Name: "nf_conntrack_helper", Parameter: true, Key: "nf_conntrack_helper", Value: "1",
	}}}
	inFile := firewall.Rules{Helpers: []firewall.HelperRule{{Place: tree.Place{File: "/etc/sysconfig/iptables", Line: 9}, Name: "sip", Rule: sipRule}}}
	fileEvidence := Evidence{tree.Place{File: "/etc/sysconfig/iptables", Line: 9}, sipRule}
	index := kmod.Index{Dir: "/lib/modules/" + release, Files: map[string]string{"nf_conntrack_sip": "kernel/net/netfilter/nf_conntrack_sip.ko"}}
	tests := map[string]struct {
		host *Host
		ask  check
		want []Finding
	}{
		"automatic": {&Host{Settings: map[string]string{"helper": "1"}, Place: service()}, helperAutomatic, []Finding{{
			ID: "helper-automatic", Severity: Warning, Summary: "helpers are attached to every connection by its port number alone",
			Evidence: []Evidence{seen(helperFile, 0, "1")}, Fix: off, Note: securityNote,
		}}},
		"automatic at the next boot": {&Host{Inventory: option, Place: service()}, helperAutomatic, []Finding{{
			ID: "helper-automatic", Severity: Warning, Summary: "helpers are attached to every connection by its port number alone",
			Evidence: []Evidence{seen("/etc/modprobe.d/x.conf", 2, "nf_conntrack_helper=1")}, Fix: off, Note: securityNote,
		}}},
		"a kernel that has it no longer": {&Host{Inventory: option, Settings: map[string]string{"max": "65536"}}, helperAutomatic, nil},
		"off":                            {&Host{Settings: map[string]string{"helper": "0"}}, helperAutomatic, nil},
		"off by the configuration":       {&Host{Inventory: option, Config: asks(t, "helper", "0")}, helperAutomatic, nil},
		"automatic by firewalld, on a disk": {
			&Host{Place: service(), Inventory: inventory.Inventory{ToolOptions: []inventory.ToolOption{
				{Place: tree.Place{File: "/etc/firewalld/firewalld.conf", Line: 6}, Tool: "firewalld", Name: "AutomaticHelpers", Value: "yes"},
			}}}, helperAutomatic, []Finding{{
				ID: "helper-automatic", Severity: Warning, Summary: "helpers are attached to every connection by its port number alone",
				Evidence: []Evidence{seen("/etc/firewalld/firewalld.conf", 6, "AutomaticHelpers=yes")}, Fix: off, Note: securityNote,
			}},
		},
		"a module without a file": {
			&Host{Rules: inFile, Index: kmod.Index{Dir: "/lib/modules/" + release}, Release: release, Distro: distro.Distribution{ID: "debian"}}, helperModuleMissing, []Finding{{
				ID: "helper-module-missing", Severity: Error, Summary: "a firewall rule wants the helper sip, and nf_conntrack_sip has no file for this kernel",
				Evidence: []Evidence{fileEvidence, seen("/lib/modules/"+release+"/modules.dep", 0, "no nf_conntrack_sip")},
				Fix:      []string{distro.Distribution{ID: "debian"}.ReinstallKernel(release)},
			}},
		},
		"a blacklisted module": {
			&Host{Rules: inFile, Index: index, Inventory: inventory.Inventory{Modprobe: kmod.Modprobe{Directives: []kmod.Directive{
				{Place: tree.Place{File: "/etc/modprobe.d/x.conf", Line: 3}, Kind: "blacklist", Module: "nf_conntrack_sip"},
				{Place: tree.Place{File: "/etc/modprobe.d/x.conf", Line: 7}, Kind: "install", Module: "nf_conntrack_sip", Args: "/bin/false"},
				{Place: tree.Place{File: "/usr/lib/modprobe.d/y.conf", Line: 1}, Kind: "install", Module: "nf_conntrack_sip", Args: "/usr/bin/true"},
				{Place: tree.Place{File: "/etc/modprobe.d/x.conf", Line: 8}, Kind: "install", Module: "nf_conntrack_sip", Args: "/sbin/modprobe -i nf_conntrack_sip"},
			}}}}, helperModuleMissing, []Finding{{
				ID: "helper-module-missing", Severity: Error, Summary: "a firewall rule wants the helper sip, and nf_conntrack_sip is kept from loading",
				Evidence: []Evidence{
					fileEvidence, seen("/etc/modprobe.d/x.conf", 3, "blacklist nf_conntrack_sip"),
					seen("/etc/modprobe.d/x.conf", 7, "install nf_conntrack_sip /bin/false"), seen("/usr/lib/modprobe.d/y.conf", 1, "install nf_conntrack_sip /usr/bin/true"),
				},
				Fix: []string{
					"sed -i '3s/^/# /;7s/^/# /' /etc/modprobe.d/x.conf",
					"mkdir -p /etc/modprobe.d && sed '1s/^/# /' /usr/lib/modprobe.d/y.conf > /etc/modprobe.d/y.conf",
				},
			}},
		},
		"a module that a rule will load": {&Host{Rules: inFile, Index: index}, helperModuleMissing, nil},
		"a helper in user space":         {&Host{Rules: firewall.Rules{Helpers: []firewall.HelperRule{{Name: "ssdp"}}}, Index: index}, helperModuleMissing, nil},
		"loaded without a rule": {&Host{Rules: firewall.Rules{Sources: []string{"iptables-save"}}, HelperModules: sipModule()}, helperWithoutRule, []Finding{{
			ID: "helper-without-rule", Severity: Info, Summary: "helper modules are loaded, and no rule attaches them to a connection",
			Evidence: []Evidence{seen("/sys/module/nf_conntrack_sip", 0, "loaded")},
			Note:     "A helper does nothing until a rule attaches it (-j CT --helper in iptables' raw table, a ct helper object in nft): the kernel no longer does by itself since 4.7.",
		}}},
		"loaded with a rule": {&Host{Rules: sipRules(), HelperModules: sipModule()}, helperWithoutRule, nil},
		"loaded, and automatic": {
			&Host{Rules: firewall.Rules{Sources: []string{"iptables-save"}}, HelperModules: sipModule(), Settings: map[string]string{"helper": "1"}}, helperWithoutRule, nil,
		},
		"loaded, and the rules cannot be read": {&Host{HelperModules: sipModule()}, helperWithoutRule, nil},
		"part of the kernel": {
			&Host{Rules: firewall.Rules{Sources: []string{"iptables-save"}}, HelperModules: []HelperModule{{Name: "nf_conntrack_sip", State: kmod.BuiltIn}}}, helperWithoutRule, nil,
		},
		"listed": {
			&Host{Rules: sipRules(), HelperModules: sipModule(), ExpectationsBy: map[string]int64{"sip": 2}, Inventory: inventory.Inventory{ToolOptions: []inventory.ToolOption{
				{Place: tree.Place{File: "/etc/shorewall/shorewall.conf", Line: 3}, Tool: "shorewall", Name: "STARTUP_ENABLED", Value: "Yes"},
				{Place: tree.Place{File: "/etc/shorewall/shorewall.conf", Line: 5}, Tool: "shorewall", Name: "AUTOHELPERS", Value: "Yes", Default: true},
				{Place: tree.Place{File: "/etc/shorewall/shorewall.conf", Line: 6}, Tool: "shorewall", Name: "HELPERS", Value: "sip,ftp"},
				{Place: tree.Place{File: "/etc/firewalld/firewalld.conf", Line: 6}, Tool: "firewalld", Name: "AutomaticHelpers", Value: "system"},
			}}}, helpersListed, []Finding{{
				ID: "helpers", Severity: Info, Summary: "conntrack helpers are in use or loaded: they are what fills the expectation table",
				Evidence: []Evidence{
					{tree.Place{File: "iptables-save", Line: 4}, sipRule},
					seen("/etc/shorewall/shorewall.conf", 5, "AUTOHELPERS=Yes (the default)"), seen("/etc/shorewall/shorewall.conf", 6, "HELPERS=sip,ftp"),
					seen("/sys/module/nf_conntrack_sip", 0, "loaded"),
					seen("/sys/module/nf_conntrack_sip/parameters/ports", 0, "5060"), seen("/sys/module/nf_conntrack_sip/parameters/sip_direct_media", 0, "1"),
					seen(expectations, 0, "sip: 2"),
				},
			}},
		},
		"none to list": {&Host{HelperModules: []HelperModule{{Name: "nf_conntrack_sip", State: kmod.BuiltIn}}}, helpersListed, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { wants(t, test.ask(test.host), test.want) })
	}
}

// TestUsesHelper: who attaches the SIP helper.
func TestUsesHelper(t *testing.T) {
	shorewall := func(startup, auto, helpers string) inventory.Inventory {
		return inventory.Inventory{ToolOptions: []inventory.ToolOption{
			{Tool: "shorewall", Name: "STARTUP_ENABLED", Value: startup}, {Tool: "shorewall", Name: "AUTOHELPERS", Value: auto},
			{Tool: "shorewall", Name: "HELPERS", Value: helpers},
		}}
	}
	listed := []kmod.Listed{{Name: "nf_conntrack_sip", State: "Live"}}
	tests := map[string]struct {
		host *Host
		want bool
	}{
		"nobody":                               {&Host{}, false},
		"the module alone":                     {&Host{HelperModules: sipModule()}, false},
		"a rule":                               {&Host{Rules: sipRules()}, true},
		"a rule of another helper":             {&Host{Rules: firewall.Rules{Helpers: []firewall.HelperRule{{Name: "ftp"}}}}, false},
		"the kernel":                           {&Host{HelperModules: sipModule(), Settings: map[string]string{"helper": "1"}}, true},
		"the kernel, without the module":       {&Host{Settings: map[string]string{"helper": "1"}}, false},
		"the kernel may not":                   {&Host{HelperModules: sipModule(), Settings: map[string]string{"helper": "0"}}, false},
		"a kernel that knows no other way":     {&Host{Modules: listed, Settings: map[string]string{"max": "65536"}}, true},
		"a kernel that no longer does":         {&Host{Modules: listed, Settings: map[string]string{"max": "65536", "tcp_ignore_invalid_rst": "0"}}, false},
		"Shorewall":                            {&Host{HelperModules: sipModule(), Inventory: shorewall("Yes", "Yes", "")}, true},
		"Shorewall, without the module":        {&Host{Inventory: shorewall("Yes", "Yes", "")}, false},
		"Shorewall, by name":                   {&Host{Inventory: shorewall("Yes", "Yes", "ftp,sip")}, true},
		"Shorewall, others by name":            {&Host{HelperModules: sipModule(), Inventory: shorewall("Yes", "Yes", "ftp,sipx")}, false},
		"Shorewall that does not start":        {&Host{HelperModules: sipModule(), Inventory: shorewall("No", "Yes", "")}, false},
		"Shorewall with rules written by hand": {&Host{HelperModules: sipModule(), Inventory: shorewall("Yes", "No", "sip")}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := test.host.usesHelper("sip"); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestHelperModuleNames(t *testing.T) {
	for name, want := range map[string]string{
		"sip": "nf_conntrack_sip", "sip-1": "nf_conntrack_sip", "ftp-2121": "nf_conntrack_ftp", "Q.931": "nf_conntrack_h323",
		"netbios-ns": "nf_conntrack_netbios_ns", "sipx": "", "ssdp": "", "": "", "tftp": "nf_conntrack_tftp",
	} {
		if got := helperModule(name); got != want {
			t.Errorf("helperModule(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestLookAtHelpers(t *testing.T) {
	root := kerneltree.New(t)
	put(t, root, map[string]string{
		"sys/module/nf_conntrack_sip/initstate":                   "live\n",
		"sys/module/nf_conntrack_sip/parameters/ports":            "5060\n",
		"sys/module/nf_conntrack_sip/parameters/sip_timeout":      "3600\n",
		"sys/module/nf_conntrack_sip/parameters/odd/a_directory":  "1\n",
		"sys/module/nf_conntrack_ftp/parameters/loose":            "N\n",
		"sys/module/nf_conntrack_netlink/initstate":               "live\n",
		"sys/module/nf_conntrack_snmp/initstate":                  "coming\n",
		"sys/module/nf_conntrack_no_such_helper/parameters/ports": "1\n",
	})
	want := []HelperModule{
		{Name: "nf_conntrack_ftp", State: kmod.BuiltIn, Parameters: []Evidence{seen("/sys/module/nf_conntrack_ftp/parameters/loose", 0, "N")}},
		{Name: "nf_conntrack_sip", State: kmod.Loaded, Parameters: []Evidence{
			seen("/sys/module/nf_conntrack_sip/parameters/ports", 0, "5060"),
			seen("/sys/module/nf_conntrack_sip/parameters/sip_timeout", 0, "3600"),
		}},
		{Name: "nf_conntrack_snmp", State: kmod.Loaded},
	}
	if diff := cmp.Diff(want, lookAtHelpers(tree.At(root))); diff != "" {
		t.Errorf("helpers (-want +got):\n%s", diff)
	}
	if got := lookAtHelpers(tree.At(t.TempDir())); got != nil {
		t.Errorf("helpers of an empty tree: %v", got)
	}
}

package expectation

import (
	"slices"
	"testing"
	"time"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/explain/firewall"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/change"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/doctortest"
	"github.com/ctkeeper/ctkeeper/kmod"
)

const sipRule = "-A PREROUTING -p udp -m udp --dport 5060 -j CT --helper sip"

// sipRules is the rule in the kernel.
func sipRules() firewall.Rules {
	return firewall.Rules{
		Sources: []string{"iptables-save"},
		Helpers: []firewall.HelperRule{{Place: tree.Place{File: "iptables-save", Line: 4}, Name: "sip",
			Rule: sipRule, Live: true}},
	}
}

func sipModule() []picture.HelperModule {
	return []picture.HelperModule{{Name: "nf_conntrack_sip", State: kmod.Loaded, Parameters: []finding.Evidence{
		finding.Seen("/sys/module/nf_conntrack_sip/parameters/ports", 0, "5060"),
		finding.Seen("/sys/module/nf_conntrack_sip/parameters/sip_direct_media", 0, "1"),
	}}}
}

func raised(needed, buckets string) []finding.Step {
	steps := doctortest.Configured("60-expectations.yaml", "settings:", "  expect_max: "+needed, "module:",
		"  parameters:", "    expect_hashsize: "+buckets)
	return slices.Insert(steps, 1, doctortest.Commands("ctkeeper persist")...)
}

const raisedNote = "expect_max is applied at once. expect_hashsize, which sizes expect_max when the module is " +
	"loaded, takes effect at the next load."

var rule = finding.At(tree.Place{File: "iptables-save", Line: 4}, sipRule)
var refused = doctortest.Log(
	"nf_conntrack: nf_conntrack: expectation table full",
	"nf_ct_sip: dropping packet: all ports in use for SDP media IN= OUT= SRC=192.0.2.1 DST=192.0.2.2",
	"nf_ct_sip: dropping packet: all ports in use for SDP media IN= OUT= SRC=192.0.2.3 DST=192.0.2.2",
	"nf_ct_sip: dropping packet: cannot parse SDP message IN= OUT=",
	"helper sip dropping packet: cannot add expectation for voice IN=eth0 OUT=",
)
var refusedEvidence = []finding.Evidence{
	finding.Seen("/dev/kmsg", 0, "nf_conntrack: expectation table full (at 2026-03-01 10:00:00)"),
	finding.Seen("/dev/kmsg", 0, "nf_ct_sip: dropping packet: all ports in use for SDP media (2 times, "+
		"2026-03-01 10:01:00 to 2026-03-01 10:02:00)"),
	finding.Seen("/dev/kmsg", 0, "helper sip dropping packet: cannot add expectation for voice (at 2026-03-01 "+
		"10:04:00)"),
}

var expectationTests = map[string]struct {
	host  *picture.Host
	check picture.Check
	want  []finding.Finding
}{
	"nothing is known": {&picture.Host{}, checkUse, nil},
	"room enough":      {&picture.Host{Figures: doctortest.Figures(0, 65536, 65536, 200, 256)}, checkUse, nil},
	"no limit":         {&picture.Host{Figures: doctortest.Figures(0, 65536, 65536, 200, -1)}, checkUse, nil},
	"full": {
		&picture.Host{
			Figures: doctortest.Figures(0, 65536, 65536, 256, 256), Rules: sipRules(), Env: doctortest.Service(),
			HelperCounts: map[string]int64{"ftp": 1, "sip": 254, "": 1},
		}, checkUse, []finding.Finding{{
			ID: "expectation-table-full", Severity: finding.Error, Summary: "the expectation table is full: 256 " +
				"of 256",
			Evidence: []finding.Evidence{
				finding.Seen(picture.ExpectationsFile, 0, "256 expectations"), finding.Seen(expectMaxFile, 0,
					"256"),
				finding.Seen(picture.ExpectationsFile, 0, "sip: 254"), finding.Seen(picture.ExpectationsFile, 0,
					"without a helper: 1"), finding.Seen(picture.ExpectationsFile, 0, "ftp: 1"), rule,
			}, Fix: raised("8192", "2048"), Note: raisedNote,
		}},
	},
	"full though large": {&picture.Host{Figures: doctortest.Figures(0, 65536, 65536, 8192, 8192),
		Env: doctortest.Service()}, checkUse, []finding.Finding{{
		ID: "expectation-table-full", Severity: finding.Error, Summary: "the expectation table is full: 8192 of " +
			"8192",
		Evidence: []finding.Evidence{finding.Seen(picture.ExpectationsFile, 0, "8192 expectations"),
			finding.Seen(expectMaxFile, 0, "8192")},
		Fix: raised("32768", "8192"), Note: raisedNote,
	}}},
	"filling": {&picture.Host{Figures: doctortest.Figures(0, 65536, 65536, 8200, 10240),
		Env: doctortest.Service()}, checkUse, []finding.Finding{{
		ID: "expectation-table-filling", Severity: finding.Warning, Summary: "the expectation table is 80 % " +
			"full: 8200 of 10240",
		Evidence: []finding.Evidence{finding.Seen(picture.ExpectationsFile, 0, "8200 expectations"),
			finding.Seen(expectMaxFile, 0, "10240")},
		Fix: raised("32768", "8192"), Note: raisedNote,
	}}},
	"full in a built-in conntrack": {&picture.Host{Figures: doctortest.Figures(0, 65536, 65536, 256, 256),
		Module: kmod.Module{State: kmod.BuiltIn}}, checkUse, []finding.Finding{{
		ID: "expectation-table-full", Severity: finding.Error, Summary: "the expectation table is full: 256 of 256",
		Evidence: []finding.Evidence{finding.Seen(picture.ExpectationsFile, 0, "256 expectations"),
			finding.Seen(expectMaxFile, 0, "256")},
		Fix: []finding.Step{
			change.WriteFile("/etc/ctkeeper/conf.d/60-expectations.yaml", "settings:", "  expect_max: 8192"),
			change.Run("ctkeeper", "apply"),
		},
		Note: "The module is part of the kernel: its hash table for expectations is sized on the kernel " +
			"command line (nf_conntrack.expect_hashsize=2048). Without that the limit works too, with longer " +
			"hash chains.",
	}}},
	"full in a container": {&picture.Host{Figures: doctortest.Figures(0, 65536, 65536, 256, 256),
		Env: picture.Environment{ChildNetns: true}}, checkUse, []finding.Finding{{
		ID: "expectation-table-full", Severity: finding.Error, Summary: "the expectation table is full: 256 of 256",
		Evidence: []finding.Evidence{finding.Seen(picture.ExpectationsFile, 0, "256 expectations"),
			finding.Seen(expectMaxFile, 0, "256")},
		Note: "expect_max belongs to the host's initial network namespace: raise it on the host.",
	}}},
	"full, and the configuration asks for more": {
		&picture.Host{
			Figures: doctortest.Figures(0, 65536, 65536, 256, 256), Env: doctortest.Service(),
			Config: doctortest.Config("expect_max", "8192"), Settings: map[string]string{"expect_max": "256"},
		}, checkUse, []finding.Finding{{
			ID: "expectation-table-full", Severity: finding.Error, Summary: "the expectation table is full: 256 " +
				"of 256",
			Evidence: []finding.Evidence{finding.Seen(picture.ExpectationsFile, 0, "256 expectations"),
				finding.Seen(expectMaxFile, 0, "256")},
			Fix: doctortest.Reload(), Note: "The configuration asks for 8192 " +
				"(/etc/ctkeeper/ctkeeper.yaml:2), which is not applied.",
		}},
	},
	"the log of the fourth report": {
		&picture.Host{Figures: doctortest.Figures(0, 65536, 16384, 3, 256), Rules: sipRules(), Log: refused,
			Env: doctortest.Service()}, checkDrops, []finding.Finding{{
			ID: "expectation-drops", Severity: finding.Error, Summary: "the expectation table was full: calls " +
				"and transfers through this host fail",
			Evidence: append(append([]finding.Evidence{}, refusedEvidence...), finding.Seen(expectMaxFile, 0,
				"256"), rule),
			Fix: raised("8192", "2048"), Note: raisedNote,
		}},
	},
	"the log without a full table": {
		&picture.Host{Log: doctortest.Log("nf_ct_ftp: dropping packet: all ports in use IN= OUT="),
			Env: doctortest.Service()}, checkDrops, []finding.Finding{{
			ID: "expectation-drops", Severity: finding.Warning, Summary: "helpers were refused expectations: " +
				"calls and transfers through this host fail",
			Evidence: []finding.Evidence{finding.Seen("/dev/kmsg", 0,
				"nf_ct_ftp: dropping packet: all ports in use (at 2026-03-01 10:00:00)")},
			Fix: raised("8192", "2048"), Note: "It is also possible that one connection reached the limit " +
				"of its helper, or that a range of NAT ports is used up. " + raisedNote,
		}},
	},
	"the log of the time before the configuration": {
		&picture.Host{
			Figures: doctortest.Figures(0, 65536, 16384, 3,
				8192), Log: refused, Env: picture.Environment{ConfigWritten: time.Date(2026, 3, 1, 11, 0, 0, 0,
				time.UTC)},
			Config: doctortest.Config("expect_max", "8192"), Settings: map[string]string{"expect_max": "8192"},
		}, checkDrops, []finding.Finding{{
			ID: "expectation-drops", Severity: finding.Info, Summary: "the expectation table was full: calls and " +
				"transfers through this host fail",
			Evidence: append(append([]finding.Evidence{}, refusedEvidence...), finding.Seen(expectMaxFile, 0,
				"8192")),
			Note: "The configuration was changed after the last of these messages, and its value is applied.",
		}},
	},
	"small, and nobody uses helpers": {&picture.Host{Figures: doctortest.Figures(0, 65536, 16384, 0, 256)},
		checkLimit, nil},
	"small": {&picture.Host{Figures: doctortest.Figures(0, 65536, 16384, 0, 256), Rules: sipRules(),
		Env: doctortest.Service()}, checkLimit, []finding.Finding{{
		ID: "expect-max-small", Severity: finding.Warning, Summary: "expect_max is 256, a small default of the " +
			"kernel, and helpers are in use",
		Evidence: []finding.Evidence{finding.Seen(expectMaxFile, 0, "256"), rule}, Fix: raised("8192",
			"2048"), Note: raisedNote,
	}}},
	"1024 is small for SIP": {&picture.Host{Figures: doctortest.Figures(0, 65536, 65536, 0, 1024),
		Rules: sipRules(), Env: doctortest.Service()}, checkLimit, []finding.Finding{{
		ID: "expect-max-small", Severity: finding.Warning, Summary: "expect_max is 1024, a small default of the " +
			"kernel, and helpers are in use",
		Evidence: []finding.Evidence{finding.Seen(expectMaxFile, 0, "1024"), rule}, Fix: raised("8192",
			"2048"), Note: raisedNote,
	}}},
	"1024 by somebody's choice": {
		&picture.Host{
			Figures: doctortest.Figures(0, 65536, 65536, 0, 1024), Rules: sipRules(),
			Inventory: inventory.Inventory{Assignments: []inventory.Assignment{{Name: "expect_hashsize",
				Parameter: true, Value: "256"}}},
		}, checkLimit, nil,
	},
}

func TestExpectations(t *testing.T) {
	for name, test := range expectationTests {
		t.Run(name, func(t *testing.T) { doctortest.Check(t, test.check(test.host), test.want) })
	}
}

// TestMerge: findings with the same fix are one finding with all evidence.
func TestMerge(t *testing.T) {
	rule := sipRules().Helpers[0]
	ruleEvidence := finding.At(rule.Place, rule.Rule)
	tests := map[string]struct {
		host *picture.Host
		want []finding.Finding
	}{
		"three of the expectation table": {
			&picture.Host{
				Figures: doctortest.Figures(0, 65536, 65536, 250, 256), Rules: sipRules(), Env: doctortest.Service(),
				Log: doctortest.Log("nf_ct_sip: dropping packet: all ports in use for SDP media IN= OUT="),
			}, []finding.Finding{{
				ID: "expectation-table-filling", Severity: finding.Warning, Summary: "the expectation table is 97 % " +
					"full: 250 of 256",
				Evidence: []finding.Evidence{
					finding.Seen(picture.ExpectationsFile, 0, "250 expectations"), finding.Seen(expectMaxFile, 0,
						"256"), ruleEvidence,
					finding.Seen("/dev/kmsg", 0,
						"nf_ct_sip: dropping packet: all ports in use for SDP media (at 2026-03-01 10:00:00)"),
				},
				Fix: raised("8192", "2048"), Note: "It is also possible that one connection reached the limit of its " +
					"helper, or that a range of NAT ports is used up. " + raisedNote,
			}},
		},
		"what is over stays by itself": {
			&picture.Host{
				Figures: doctortest.Figures(0, 65536, 65536, 0,
					256), Rules: sipRules(), Log: doctortest.Log("nf_conntrack: expectation table full"),
				Env:    picture.Environment{ConfigWritten: time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)},
				Config: doctortest.Config("expect_max", "256"), Settings: map[string]string{"expect_max": "256"},
			}, []finding.Finding{
				{
					ID: "expectation-drops", Severity: finding.Info, Summary: "the expectation table was full: calls " +
						"and transfers through this host fail",
					Evidence: []finding.Evidence{
						finding.Seen("/dev/kmsg", 0,
							"nf_conntrack: expectation table full (at 2026-03-01 "+
								"10:00:00)"), finding.Seen(expectMaxFile, 0, "256"), ruleEvidence,
					},
					Note: "The configuration was changed after the last of these messages, and its value is applied.",
				},
				{
					ID: "expect-max-small", Severity: finding.Warning, Summary: "expect_max is 256, a small default " +
						"of the kernel, and helpers are in use",
					Evidence: []finding.Evidence{finding.Seen(expectMaxFile, 0, "256"), ruleEvidence},
					Fix:      append(raised("8192", "2048")[:2], change.Run("ctkeeper", "apply")),
					Note:     raisedNote,
				},
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { doctortest.Check(t, checkTable(test.host), test.want) })
	}
}

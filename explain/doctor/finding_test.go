package doctor

import (
	"testing"
	"time"
)

// TestTogether: what the same commands mend is one finding with all evidence.
func TestTogether(t *testing.T) {
	full := "nf_conntrack: table full, dropping packet"
	raise := []string{makeDropIns + "'settings:' '  max: 131072' '  hashsize: 131072' > /etc/ctkeeper/conf.d/60-table.yaml", reload}
	raiseNote := "A full table of 131072 connections takes 49 MiB."
	rule := sipRules().Helpers[0]
	ruleEvidence := Evidence{rule.Place, rule.Rule}
	tests := map[string]struct {
		host   *Host
		checks []check
		want   []Finding
	}{
		"filling, and the log says that it was full": {
			&Host{Figures: figures(60000, 65536, 65536, 0, 1024), MemTotal: 4 * gib, Place: service(), Log: logOf(full)}, sizingChecks(), []Finding{{
				ID: "table-drops", Severity: Error, Summary: "the connection table was full: connections were thrown out or refused",
				Evidence: []Evidence{
					seen("/dev/kmsg", 0, full+" (at 2026-03-01 10:00:00)"), seen(countFile, 0, "60000"), seen(maxFile, 0, "65536"),
				}, Fix: raise, Note: raiseNote,
			}},
		},
		"full, and counted": {
			&Host{
				Figures: figures(65000, 65536, 65536, 0, 1024), MemTotal: 4 * gib, Place: service(), Counters: map[string]uint64{"early_drop": 1},
			}, sizingChecks(), []Finding{{
				ID: "table-full", Severity: Error, Summary: "the connection table is 99 % full: 65000 of 65536",
				Evidence: []Evidence{
					seen(countFile, 0, "65000"), seen(maxFile, 0, "65536"), seen(countersFile, 0, "early_drop = 1: connections thrown out to make room"),
				}, Fix: raise, Note: raiseNote,
			}},
		},
		"three of the expectation table": {
			&Host{
				Figures: figures(0, 65536, 65536, 250, 256), Rules: sipRules(), Place: service(),
				Log: logOf("nf_ct_sip: dropping packet: all ports in use for SDP media IN= OUT="),
			}, expectationChecks()[:1], []Finding{{
				ID: "expectation-table-filling", Severity: Warning, Summary: "the expectation table is 97 % full: 250 of 256",
				Evidence: []Evidence{
					seen(expectations, 0, "250 expectations"), seen(expectMaxFile, 0, "256"), ruleEvidence,
					seen("/dev/kmsg", 0, "nf_ct_sip: dropping packet: all ports in use for SDP media (at 2026-03-01 10:00:00)"),
				},
				Fix: raised("8192", "2048"), Note: "One connection may also have reached its helper's own limit, or a range of NAT ports is used up. " + raisedNote,
			}},
		},
		"what is over stays by itself": {
			&Host{
				Figures: figures(0, 65536, 65536, 0, 256), Rules: sipRules(), Log: logOf("nf_conntrack: expectation table full"),
				Place:  Place{Configured: time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)},
				Config: asks(t, "expect_max", "256"), Settings: map[string]string{"expect_max": "256"},
			}, expectationChecks()[:1], []Finding{
				{
					ID: "expectation-drops", Severity: Info, Summary: "the expectation table was full: calls and transfers through this host fail",
					Evidence: []Evidence{
						seen("/dev/kmsg", 0, "nf_conntrack: expectation table full (at 2026-03-01 10:00:00)"), seen(expectMaxFile, 0, "256"), ruleEvidence,
					},
					Note: "The configuration was changed since the last of these messages, and what it asks for is in force.",
				},
				{
					ID: "expect-max-small", Severity: Warning, Summary: "expect_max is 256, the kernel's own small limit, and helpers are in use",
					Evidence: []Evidence{seen(expectMaxFile, 0, "256"), ruleEvidence},
					Fix:      []string{makeDropIns + "'settings:' '  expect_max: 8192' 'module:' '  parameters:' '    expect_hashsize: 2048' > /etc/ctkeeper/conf.d/60-expectations.yaml", "ctkeeper persist", "ctkeeper apply"},
					Note:     raisedNote,
				},
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { wants(t, ask(test.host, test.checks), test.want) })
	}
}

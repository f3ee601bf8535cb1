package owners_test

import (
	"testing"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/owners"
	"github.com/ctkeeper/ctkeeper/internal/doctortest"
)

// TestRecord has a history in which kube-proxy set max twice, and the module's load once.
func TestRecord(t *testing.T) {
	root := doctortest.ModuleTree(t)
	doctortest.Put(t, root, map[string]string{
		"proc/sys/net/netfilter/nf_conntrack_max": "65536\n",
		"var/lib/ctkeeper/events.jsonl": `{"at":"2026-03-01T10:00:00Z","event":"drift","setting":"max",` +
			`"found":131072,"cause":"write","by":{"pid":9,"comm":"kube-proxy","container":"c0ffee"}}` + "\n" +
			`{"at":"2026-03-01T10:00:02Z","event":"drift","setting":"hashsize","found":65536,` +
			`"cause":"module-load"}` + "\n" +
			`{"at":"2026-03-01T10:00:03Z","event":"drift","setting":"max","found":131072,"cause":"write",` +
			`"by":{"pid":11,"comm":"kube-proxy","container":"c0ffee"}}` + "\n",
	})
	got := doctortest.Find(t, owners.Check(doctortest.Take(t, root)), "drift-by")
	doctortest.Check(t, []finding.Finding{got}, []finding.Finding{{
		ID: "drift-by", Severity: finding.Info, Summary: "max was set by kube-proxy",
		Evidence: []finding.Evidence{finding.Seen("/var/lib/ctkeeper/events.jsonl", 0,
			"max was set to 131072 by kube-proxy (pid 11, container c0ffee) at 2026-03-01T10:00:03Z")},
		Note: "ctkeeper recorded it. Configure that program, or let guard: hold absorb its writes.",
	}})
}

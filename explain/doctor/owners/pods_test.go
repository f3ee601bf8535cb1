package owners

import (
	"testing"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/doctortest"
)

func TestPods(t *testing.T) {
	const file = "/etc/crio/crio.conf.d/90-pods.conf"
	limit := inventory.PodSysctl{
		Place: tree.Place{File: file, Line: 2}, Tool: "CRI-O", Name: "max", Key: doctortest.NetMax, Value: "512",
	}
	buckets := limit
	buckets.Name, buckets.Key = "hashsize", doctortest.Buckets
	unconfigured := limit
	unconfigured.Name, unconfigured.Key = "udp_timeout", "net.netfilter.nf_conntrack_udp_timeout"
	h := doctortest.Owned(t)
	h.Inventory.PodSysctls = []inventory.PodSysctl{limit, unconfigured, buckets}
	const cannot = ", which their network namespaces cannot write: such a pod does not start"
	want := finding.Finding{
		ID: "pod-sysctl-refused", Severity: finding.Info,
		Summary: "CRI-O sets " + doctortest.NetMax + " for pods" + cannot + "; CRI-O sets " + doctortest.Buckets +
			" for pods" + cannot,
		Note: "Remove it: it is one value for the whole host.",
		Evidence: []finding.Evidence{
			finding.Seen(file, 2, doctortest.NetMax+" = 512"), finding.Seen(file, 2, doctortest.Buckets+" = 512"),
		},
	}
	doctortest.Check(t, checkPods(h), []finding.Finding{want})
	h.Inventory.PodSysctls[0].Running = true
	if f := checkPods(h)[0]; f.Severity != finding.Warning {
		t.Errorf("CRI-O runs: severity %s", f.Severity)
	}
}

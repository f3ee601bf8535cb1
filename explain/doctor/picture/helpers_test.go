package picture

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
	"github.com/ctkeeper/ctkeeper/kmod"
)

func TestHelperModuleNames(t *testing.T) {
	for name, want := range map[string]string{
		"sip":        "nf_conntrack_sip",
		"sip-1":      "nf_conntrack_sip",
		"ftp-2121":   "nf_conntrack_ftp",
		"Q.931":      "nf_conntrack_h323",
		"netbios-ns": "nf_conntrack_netbios_ns",
		"sipx":       "",
		"ssdp":       "",
		"":           "",
		"tftp":       "nf_conntrack_tftp",
	} {
		if got := HelperModuleOf(name); got != want {
			t.Errorf("helperModule(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestReadHelpers(t *testing.T) {
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
		{Name: "nf_conntrack_ftp", State: kmod.BuiltIn,
			Parameters: []finding.Evidence{finding.Seen("/sys/module/nf_conntrack_ftp/parameters/loose", 0, "N")}},
		{Name: "nf_conntrack_sip", State: kmod.Loaded, Parameters: []finding.Evidence{
			finding.Seen("/sys/module/nf_conntrack_sip/parameters/ports", 0, "5060"),
			finding.Seen("/sys/module/nf_conntrack_sip/parameters/sip_timeout", 0, "3600"),
		}},
		{Name: "nf_conntrack_snmp", State: kmod.Loaded},
	}
	if diff := cmp.Diff(want, readHelpers(tree.At(root))); diff != "" {
		t.Errorf("helpers (-want +got):\n%s", diff)
	}
	if got := readHelpers(tree.At(t.TempDir())); got != nil {
		t.Errorf("helpers of an empty tree: %v", got)
	}
}

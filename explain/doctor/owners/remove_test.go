package owners

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/doctortest"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

func TestRemoveAssignment(t *testing.T) {
	const modprobed = "/etc/modprobe.d/x.conf"
	for name, test := range map[string]struct {
		files map[string]string
		all   []inventory.Assignment
		fix   []finding.Step
		note  string
	}{
		"a package's file, both lines at once": {
			map[string]string{"usr/lib/sysctl.d/50-vendor.conf": doctortest.NetMax + " = 4096\n" +
				doctortest.Buckets + " = 512\n"},
			[]inventory.Assignment{doctortest.Sysctl(doctortest.VendorConf, 1, doctortest.NetMax, "4096"),
				doctortest.Sysctl(doctortest.VendorConf, 2, doctortest.Buckets, "512")},
			append(doctortest.Commands("install -D -m 644 "+doctortest.VendorConf+" /etc/sysctl.d/50-vendor.conf"),
				doctortest.Comment("/etc/sysctl.d/50-vendor.conf", 1, doctortest.NetMax+" = 4096"),
				doctortest.Comment("/etc/sysctl.d/50-vendor.conf", 2, doctortest.Buckets+" = 512")), "",
		},
		"one of two parameters": {
			map[string]string{"etc/modprobe.d/x.conf": "options nf_conntrack hashsize=512 acct=1\n"},
			[]inventory.Assignment{doctortest.Option(modprobed, 1, sysfs.Hashsize, "512"),
				doctortest.Option(modprobed, 1, "acct", "1")},
			[]finding.Step{doctortest.Edit(modprobed, 1, "options nf_conntrack hashsize=512 acct=1",
				"options nf_conntrack acct=1")}, "",
		},
		"the only parameter": {
			map[string]string{"etc/modprobe.d/x.conf": "options nf_conntrack hashsize=512\n"},
			[]inventory.Assignment{doctortest.Option(modprobed, 1, sysfs.Hashsize, "512")},
			[]finding.Step{doctortest.Comment(modprobed, 1, "options nf_conntrack hashsize=512")}, "",
		},
		"one of two parameters of a line that goes on": {
			map[string]string{"etc/modprobe.d/x.conf": "options nf_conntrack hash\\\nsize=512 \\\nacct=1\n"},
			[]inventory.Assignment{doctortest.Option(modprobed, 1, sysfs.Hashsize, "512"),
				doctortest.Option(modprobed, 1, "acct", "1")},
			[]finding.Step{doctortest.Edit(modprobed, 1, `options nf_conntrack hash\`, "options nf_conntrack acct=1"),
				doctortest.Comment(modprobed, 2, `size=512 \`), doctortest.Comment(modprobed, 3, "acct=1")}, "",
		},
		"a script": {
			map[string]string{"etc/rc.local": "modprobe nf_conntrack; sysctl -w net.netfilter.nf_conntrack_max=512\n"},
			[]inventory.Assignment{{Place: tree.Place{File: "/etc/rc.local", Line: 1}, Name: "max",
				Key: doctortest.NetMax, Value: "512", Tool: "rc.local", Phase: inventory.AtServiceStart}},
			nil, "Remove it from /etc/rc.local:1.",
		},
		"kube-proxy": {
			nil, []inventory.Assignment{{Place: tree.Place{File: "/x.yaml", Line: 1}, Name: "max",
				Key: "maxPerCore", Value: "512", Tool: "kube-proxy", Phase: inventory.AtServiceStart}}, nil,
			"kube-proxy does not set the limit where its configuration has conntrack.maxPerCore: 0, nor a timeout " +
				"that is 0s. ctkeeper render kube-proxy prints them for this configuration. " +
				"Set these in the ConfigMap kube-proxy of kube-system, and restart its pods.",
		},
		"a package's TuneD profile": {
			nil, []inventory.Assignment{{Place: tree.Place{File: "/usr/lib/tuned/x/tuned.conf", Line: 1},
				Name: "max", Key: doctortest.NetMax, Value: "512", Tool: "tuned", Phase: inventory.AtTunedProfile}},
			nil,
			"Remove it from a copy of the profile in /etc/tuned, and make the copy the active profile.",
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := doctortest.Owned(t, test.all...)
			doctortest.SetFiles(t, h, test.files)
			f := checkConflicts(h)[0]
			if diff := cmp.Diff(test.fix, f.Fix); diff != "" {
				t.Errorf("fix (-want +got):\n%s", diff)
			}
			if f.Note != test.note {
				t.Errorf("note %q, want %q", f.Note, test.note)
			}
		})
	}
}

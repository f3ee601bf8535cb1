package owners

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/fixes"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/doctortest"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// What is not certain is worth knowing, and no more.
func TestUncertainConflict(t *testing.T) {
	a := doctortest.Sysctl(doctortest.SiteConf, 1, doctortest.NetMax, "65536")
	a.Uncertain = "within an if"
	f := doctortest.Find(t, checkConflicts(doctortest.Owned(t, a)), "other-owner")
	want := "systemd-sysctl can set nf_conntrack_max to 65536 at boot, ctkeeper wants 1048576; " +
		"ctkeeper writes its value back each time"
	const note = "It is not certain: within an if."
	if f.Severity != finding.Info || f.Summary != want || f.Note != note || len(f.Fix) > 0 {
		t.Errorf("%s %s, note %q, fix %v", f.Severity, f.Summary, f.Note, f.Fix)
	}
}

func TestOtherOwners(t *testing.T) {
	h := doctortest.Owned(t, doctortest.Sysctl(doctortest.SiteConf, 2, doctortest.NetMax, "65536"))
	doctortest.SetFiles(t, h, map[string]string{"etc/sysctl.d/50-site.conf": "# " +
		"ours\nnet.netfilter.nf_conntrack_max=65536\n"})
	doctortest.Check(t, checkConflicts(h), []finding.Finding{{
		ID: "other-owner", Severity: finding.Warning,
		Summary: "systemd-sysctl sets nf_conntrack_max to 65536 at boot, ctkeeper wants 1048576; ctkeeper writes its " +
			"value back each time",
		Evidence: []finding.Evidence{
			finding.Seen(doctortest.SiteConf, 2, "net.netfilter.nf_conntrack_max=65536"),
			finding.Seen(doctortest.MainFile, 3, "max: 1048576"),
		},
		Fix: []finding.Step{doctortest.Comment(doctortest.SiteConf, 2, doctortest.NetMax+"=65536")},
	}})
}

func TestOtherOwnerSummaries(t *testing.T) {
	proxy := inventory.Assignment{
		Place: tree.Place{File: "/var/lib/kube-proxy/config.conf",
			Line: 12}, Name: "max", Key: "maxPerCore", Value: "2097152",
		AtLeast: true, Tool: "kube-proxy", Phase: inventory.AtServiceStart,
	}
	again := func(by string, phase inventory.Phase) inventory.Assignment {
		a := doctortest.Sysctl(doctortest.SiteConf, 2, doctortest.NetMax, "65536")
		a.Tool, a.Phase = by, phase
		return a
	}
	for name, test := range map[string]struct {
		host *picture.Host
		want string
		fix  []finding.Step
	}{
		"nobody enforces": {
			doctortest.Stopped(doctortest.Owned(t, doctortest.Sysctl(doctortest.SiteConf, 2, doctortest.NetMax,
				"65536"))),
			"systemd-sysctl sets nf_conntrack_max to 65536 at boot, ctkeeper wants 1048576; nothing writes " +
				"ctkeeper's value back: no daemon enforces the configuration here", nil,
		},
		"applied three times": {
			doctortest.Owned(t, doctortest.Sysctl(doctortest.SiteConf, 2, doctortest.NetMax, "65536"),
				again("modprobe", inventory.AfterModuleLoad), again("tuned", inventory.AtTunedProfile)),
			"systemd-sysctl, modprobe and tuned set nf_conntrack_max to 65536 at boot, after the module is loaded " +
				"and when TuneD applies its profile, ctkeeper wants 1048576; ctkeeper writes its value back each " +
				"time", nil,
		},
		"nothing is configured": {
			doctortest.Bare(doctortest.Owned(t, doctortest.Sysctl(doctortest.SiteConf, 2, doctortest.NetMax, "65536"))),
			"systemd-sysctl sets nf_conntrack_max to 65536 at boot, ctkeeper wants at_least 349184; ctkeeper writes " +
				"its value back each time", []finding.Step{fixes.ImportWrite()},
		},
		"a tool that only raises": {
			doctortest.Owned(t, proxy),
			"kube-proxy raises nf_conntrack_max to at least 2097152 when a service starts, ctkeeper wants 1048576; " +
				"ctkeeper writes its value back each time", nil,
		},
		"the hash size at load": {
			doctortest.Owned(t, doctortest.Option("/etc/modprobe.d/x.conf", 1, sysfs.Hashsize, "8192")),
			"modprobe sets hashsize to 8192 when the module is loaded, ctkeeper wants at_least 65536; ctkeeper " +
				"writes its value back each time", nil,
		},
		"a parameter": {
			doctortest.Owned(t, doctortest.Option("/etc/modprobe.d/x.conf", 1, sysfs.ExpectHashsize, "64")),
			"modprobe sets expect_hashsize to 64 when the module is loaded, ctkeeper wants 2048; the module is " +
				"loaded with 64", nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := doctortest.Find(t, checkConflicts(test.host), "other-owner")
			if f.Summary != test.want {
				t.Errorf("summary:\n got %s\nwant %s", f.Summary, test.want)
			}
			if diff := cmp.Diff(test.fix, f.Fix); diff != "" {
				t.Errorf("fix (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNoOtherOwner(t *testing.T) {
	ours := doctortest.Sysctl("/etc/sysctl.d/90-ctkeeper.conf", 2, doctortest.NetMax, "65536")
	ours.FromPersist = true
	lost := doctortest.Sysctl(doctortest.SiteConf, 2, doctortest.NetMax, "65536")
	lost.NoEffect = "/etc/sysctl.d/99-last.conf:1 comes later"
	lost.OverriddenBy = tree.Place{File: "/etc/sysctl.d/99-last.conf", Line: 1}
	proxy := doctortest.Sysctl("/var/lib/kube-proxy/config.conf", 12, doctortest.NetMax, "131072")
	proxy.AtLeast, proxy.Tool, proxy.Phase = true, "kube-proxy", inventory.AtServiceStart
	hidden := doctortest.Sysctl(doctortest.VendorConf, 1, doctortest.NetMax, "4096")
	hidden.NoEffect = "hidden by /etc/sysctl.d/50-vendor.conf"
	doctortest.Check(t, checkConflicts(doctortest.Stopped(doctortest.Bare(doctortest.Owned(t,
		doctortest.Sysctl(doctortest.SiteConf, 1, doctortest.NetMax, "65536"))))), nil) // the default is an offer
	for name, all := range map[string][]inventory.Assignment{
		"our own file": {ours},
		"a line that another wins": {lost, doctortest.Sysctl("/etc/sysctl.d/99-last.conf", 1, doctortest.NetMax,
			"1048576")},
		"raises to less":         {proxy},
		"hidden":                 {hidden},
		"the same size in pages": {doctortest.Sysctl(doctortest.SiteConf, 1, doctortest.Buckets, "65530")},
		"more than at least":     {doctortest.Sysctl(doctortest.SiteConf, 1, doctortest.Buckets, "131072")},
		"not configured":         {doctortest.Sysctl(doctortest.SiteConf, 1, "net.netfilter.nf_conntrack_acct", "1")},
	} {
		t.Run(name, func(t *testing.T) { doctortest.Check(t, checkConflicts(doctortest.Owned(t, all...)), nil) })
	}
}

func TestOwnersAgree(t *testing.T) {
	assignments := []inventory.Assignment{
		doctortest.Sysctl(doctortest.SiteConf, 2, doctortest.NetMax,
			"1048576"), doctortest.Sysctl(doctortest.SiteConf, 3, doctortest.Buckets, "65536"),
		doctortest.Sysctl(doctortest.SiteConf, 4, "net.netfilter.nf_conntrack_acct", "1"),
	}
	agree := finding.Finding{
		ID: "other-owner", Severity: finding.Info,
		Summary: "/etc/sysctl.d/50-site.conf sets the same values as ctkeeper for nf_conntrack_max, hashsize",
		Evidence: []finding.Evidence{finding.Seen(doctortest.SiteConf, 2, doctortest.NetMax+" = 1048576"),
			finding.Seen(doctortest.SiteConf, 3, doctortest.Buckets+" = 65536")},
		Note: "These lines can be deleted: ctkeeper keeps the values.",
	}
	more := finding.Finding{
		ID: "other-owner", Severity: finding.Info,
		Summary:  "/etc/sysctl.d/50-site.conf sets nf_conntrack_acct, which ctkeeper's configuration does not have",
		Evidence: []finding.Evidence{finding.Seen(doctortest.SiteConf, 4, "net.netfilter.nf_conntrack_acct = 1")},
		Note:     "ctkeeper import prints it as configuration.",
	}
	doctortest.Check(t, checkOthers(doctortest.Owned(t, assignments...)), []finding.Finding{agree, more})
	agree.Note = "These lines can be deleted once ctkeeper is enabled and running."
	doctortest.Check(t, checkOthers(doctortest.Stopped(doctortest.Owned(t, assignments...))),
		[]finding.Finding{agree, more})
}

package owners

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/fixes"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/host/klog"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/doctortest"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// TestFixesDoIt runs the commands, twice: the second time changes nothing.
func TestFixesDoIt(t *testing.T) {
	opt := "/etc/modprobe.d/x.conf"
	for name, test := range map[string]struct {
		file, before, after string
		findings            func(h *picture.Host) []finding.Finding
		host                *picture.Host
	}{
		"a sysctl line": {
			"/etc/sysctl.d/50-site.conf", "# site\n  " + doctortest.NetMax + " = 65536\nnet.ipv4.ip_forward=1\n",
			"# site\n#   " + doctortest.NetMax + " = 65536\nnet.ipv4.ip_forward=1\n",
			checkConflicts, doctortest.Owned(t, doctortest.Sysctl(doctortest.SiteConf, 2, doctortest.NetMax, "65536")),
		},
		"a parameter in the middle": {
			opt, "options nf_conntrack acct=1 hashsize=512 tstamp=1\n", "options nf_conntrack acct=1 tstamp=1\n",
			checkConflicts, doctortest.Owned(t, doctortest.Option(opt, 1, "acct", "1"), doctortest.Option(opt, 1,
				sysfs.Hashsize, "512"), doctortest.Option(opt, 1, "tstamp", "1")),
		},
		"a parameter at the end": {
			opt, "options nf_conntrack acct=1 hashsize=512\n", "options nf_conntrack acct=1\n",
			checkConflicts, doctortest.Owned(t, doctortest.Option(opt, 1, "acct", "1"), doctortest.Option(opt, 1,
				sysfs.Hashsize, "512")),
		},
	} {
		t.Run(name, func(t *testing.T) {
			doctortest.FixTwice(t, test.host, test.findings, test.file, test.before, test.after)
		})
	}
}

// A package's file is left alone: the copy that hides it loses the lines.
func TestFixOfAPackagesFile(t *testing.T) {
	h := doctortest.Owned(t, doctortest.Sysctl(doctortest.VendorConf, 1, doctortest.NetMax, "4096"),
		doctortest.Sysctl(doctortest.VendorConf, 3, doctortest.Buckets, "512"))
	before := doctortest.NetMax + "=4096\nnet.ipv4.ip_forward=1\n" + doctortest.Buckets + "=512\n"
	root := doctortest.SetFiles(t, h, map[string]string{strings.TrimPrefix(doctortest.VendorConf, "/"): before})
	for _, f := range checkConflicts(h) {
		doctortest.Apply(t, root, f.Fix)
	}
	want := "# " + doctortest.NetMax + "=4096\nnet.ipv4.ip_forward=1\n# " + doctortest.Buckets + "=512\n"
	if diff := cmp.Diff(want, doctortest.Read(t, root, "/etc/sysctl.d/50-vendor.conf")); diff != "" {
		t.Errorf("the copy (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, doctortest.Read(t, root, doctortest.VendorConf)); diff != "" {
		t.Errorf("the package's file (-want +got):\n%s", diff)
	}
}

func TestSysctlTooEarly(t *testing.T) {
	early := doctortest.Sysctl(doctortest.SiteConf, 1, "net.netfilter.nf_conntrack_expect_max", "8192")
	early.TooEarly = true
	h := doctortest.Stopped(doctortest.Owned(t, early))
	want := finding.Finding{
		ID: "sysctl-too-early", Severity: finding.Warning,
		Summary: "systemd-sysctl applies nf_conntrack_expect_max before the module is loaded: it has no effect",
		Evidence: []finding.Evidence{finding.Seen(doctortest.SiteConf, 1,
			"net.netfilter.nf_conntrack_expect_max = 8192")},
		Fix:  doctortest.Commands("ctkeeper import --write", "systemctl enable --now ctkeeper"),
		Note: "ctkeeper then sets them whenever the module is loaded.",
	}
	doctortest.Check(t, checkTooEarly(h), []finding.Finding{want})
	h.Settings = map[string]string{"expect_max": "8192"} // something applied it all the same
	doctortest.Check(t, checkTooEarly(h), nil)
	h.Settings = map[string]string{"expect_max": "4096"}
	differs := want
	differs.Evidence = append(slices.Clone(want.Evidence),
		finding.Seen("/proc/sys/net/netfilter/nf_conntrack_expect_max", 0, "4096"))
	doctortest.Check(t, checkTooEarly(h), []finding.Finding{differs})
	h.Settings = nil

	const message = "Couldn't write '8192' to 'net/netfilter/nf_conntrack_expect_max', ignoring: No such file or " +
		"directory"
	h.Log.Messages = []klog.Message{{Source: tree.Place{File: "journal"}, Text: message},
		{Source: tree.Place{File: "journal"}, Text: "nf_conntrack: automatic helper assignment is deprecated"}}
	want.Severity = finding.Error
	want.Evidence = append(want.Evidence, finding.Seen("journal", 0, message))
	doctortest.Check(t, checkTooEarly(h), []finding.Finding{want})

	h.Env.Systemd = false
	f := doctortest.Find(t, checkTooEarly(h), "sysctl-too-early")
	if diff := cmp.Diff([]finding.Step{doctortest.Edit("/etc/modules", 1, "", "nf_conntrack")}, f.Fix); diff != "" {
		t.Errorf("without systemd (-want +got):\n%s", diff)
	}

	wanted := early
	wanted.Name, wanted.Key = "max", doctortest.NetMax
	for name, test := range map[string]struct {
		host *picture.Host
		fix  []finding.Step
	}{
		"wanted, not enabled": {doctortest.Stopped(doctortest.Owned(t, wanted)),
			doctortest.Commands("systemctl enable --now ctkeeper")},
		"enabled, not wanted": {doctortest.Owned(t, early), []finding.Step{fixes.ImportWrite()}},
		"no unit to enable": {doctortest.Uninstalled(doctortest.Stopped(doctortest.Owned(t, early))),
			doctortest.Commands("ctkeeper import --write", "ctkeeper persist --udev")},
		"wanted by the default alone": {doctortest.Stopped(doctortest.Bare(doctortest.Owned(t, wanted))),
			doctortest.Commands("ctkeeper import --write", "systemctl enable --now ctkeeper")},
	} {
		f := doctortest.Find(t, checkTooEarly(test.host), "sysctl-too-early")
		if diff := cmp.Diff(test.fix, f.Fix); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	doctortest.Check(t, checkTooEarly(doctortest.Owned(t, wanted)), nil) // a daemon repairs it
	lost := early
	lost.NoEffect = "/etc/udev/rules.d/x.rules:1 comes later: udev, after the module is loaded"
	lost.OverriddenBy = tree.Place{File: "/etc/udev/rules.d/x.rules", Line: 1}
	doctortest.Check(t, checkTooEarly(doctortest.Stopped(doctortest.Owned(t, lost))), nil)
}

func TestSysctlNotRead(t *testing.T) {
	const conf = "/etc/sysctl.conf"
	expect := doctortest.Sysctl(conf, 3, "net.netfilter.nf_conntrack_expect_max", "8192")
	expect.NoEffect = "nothing reads /etc/sysctl.conf at boot"
	h := doctortest.Owned(t, expect)
	doctortest.SetFiles(t, h,
		map[string]string{"etc/sysctl.conf": "#\n#\nnet.netfilter.nf_conntrack_expect_max=8192\n"})
	doctortest.Check(t, checkNotRead(h), []finding.Finding{{
		ID: "sysctl-not-read", Severity: finding.Warning,
		Summary: "net.netfilter.nf_conntrack_expect_max in /etc/sysctl.conf: no effect, nothing reads " +
			"/etc/sysctl.conf at boot",
		Evidence: []finding.Evidence{finding.Seen(conf, 3, "net.netfilter.nf_conntrack_expect_max=8192")},
		Fix: append(doctortest.Configured("60-sysctl.yaml", "settings:", "  expect_max: 8192"),
			doctortest.Comment(conf, 3, "net.netfilter.nf_conntrack_expect_max=8192")),
	}})
	old := doctortest.Sysctl(conf, 3, doctortest.NetMax, "65536")
	old.Key, old.NoEffect = "net.ipv4.ip_conntrack_max", "kernels since 4.9 have no key of this name"
	f := doctortest.Find(t, checkNotRead(doctortest.Owned(t, old)), "sysctl-not-read")
	if f.Severity != finding.Info { // ctkeeper keeps max
		t.Errorf("severity %s", f.Severity)
	}
	hidden := doctortest.Sysctl(doctortest.VendorConf, 1, doctortest.NetMax, "1")
	hidden.NoEffect = "hidden by /etc/sysctl.d/50-vendor.conf"
	overtaken := doctortest.Sysctl(doctortest.SiteConf, 1, doctortest.NetMax, "1")
	overtaken.NoEffect = "/etc/sysctl.d/99-last.conf:1 comes later"
	overtaken.OverriddenBy = tree.Place{File: "/etc/sysctl.d/99-last.conf", Line: 1}
	doctortest.Check(t, checkNotRead(doctortest.Owned(t, hidden, overtaken,
		doctortest.Sysctl("/etc/sysctl.d/99-last.conf", 1, doctortest.NetMax, "2"))), nil)
}

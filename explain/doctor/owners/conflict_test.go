package owners

import (
	"testing"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/doctortest"
	"github.com/ctkeeper/ctkeeper/persist"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

func TestContradictions(t *testing.T) {
	first := doctortest.Sysctl(doctortest.SiteConf, 1, doctortest.NetMax, "65536")
	last := doctortest.Sysctl("/etc/sysctl.d/99-last.conf", 3, doctortest.NetMax, "131072")
	first.NoEffect = "/etc/sysctl.d/99-last.conf:3 comes later"
	first.OverriddenBy = tree.Place{File: "/etc/sysctl.d/99-last.conf", Line: 3}
	h := doctortest.Stopped(doctortest.Owned(t, first, last))
	doctortest.SetFiles(t, h, map[string]string{"etc/sysctl.d/50-site.conf": doctortest.NetMax + "=65536\n"})
	want := finding.Finding{
		ID: "contradiction", Severity: finding.Info, // how sysctl.d is meant
		Summary: "nf_conntrack_max is set to 2 different values; " +
			"applied: 131072 of /etc/sysctl.d/99-last.conf:3 at boot",
		Evidence: []finding.Evidence{
			finding.Seen(doctortest.SiteConf, 1, doctortest.NetMax+
				"=65536 (systemd-sysctl, at boot: no effect, /etc/sysctl.d/99-last.conf:3 comes later)"),
			finding.Seen("/etc/sysctl.d/99-last.conf", 3, doctortest.NetMax+
				" = 131072 (systemd-sysctl, at boot: applied)"),
		},
	}
	doctortest.Check(t, checkContradictions(h), []finding.Finding{want})

	h.Settings = map[string]string{"max": "65536"} // the order is another one
	doctortest.Check(t, checkContradictions(h), nil)
}

// A service that sets another value than the administrator's file is worth a warning.
func TestTakenOver(t *testing.T) {
	site := doctortest.Sysctl(doctortest.SiteConf, 1, doctortest.NetMax, "1000000")
	proxy := inventory.Assignment{
		Place: tree.Place{File: "/var/lib/kube-proxy/config.conf", Line: 7}, Name: "max", Key: "conntrack.min",
		Value: "131072", Tool: picture.KubeProxy, Phase: inventory.AtServiceStart,
	}
	site.NoEffect, site.OverriddenBy = proxy.Place.String()+" comes later", proxy.Place
	h := doctortest.Stopped(doctortest.Owned(t, site, proxy))
	f := doctortest.Find(t, checkContradictions(h), "contradiction")
	if f.Severity != finding.Warning || len(f.Fix) > 0 || f.Note == "" {
		t.Errorf("%s, fix %v, note %q", f.Severity, f.Fix, f.Note)
	}
	yes := true
	h.Env.Enabled, h.Env.Running = true, &yes // the daemon has the last word
	if f := doctortest.Find(t, checkContradictions(h), "contradiction"); f.Severity != finding.Info {
		t.Errorf("severity %s", f.Severity)
	}
	vendor := site
	vendor.File = doctortest.VendorConf
	h = doctortest.Stopped(doctortest.Owned(t, vendor, proxy))
	if f := doctortest.Find(t, checkContradictions(h), "contradiction"); f.Severity != finding.Info {
		t.Errorf("a package's file: severity %s", f.Severity)
	}
}

func TestContradictionOfPhases(t *testing.T) {
	load := doctortest.Option("/etc/modprobe.d/x.conf", 1, sysfs.Hashsize, "8192")
	boot := doctortest.Sysctl(doctortest.SiteConf, 1, doctortest.Buckets, "65536")
	load.NoEffect = "/etc/sysctl.d/50-site.conf:1 comes later: systemd-sysctl, at boot"
	load.OverriddenBy = tree.Place{File: "/etc/sysctl.d/50-site.conf", Line: 1}
	f := doctortest.Find(t, checkContradictions(doctortest.Stopped(doctortest.Owned(t, load, boot))), "two-names")
	want := "hashsize and net.netfilter.nf_conntrack_buckets are one setting, and the files use both names; applied: " +
		"8192 of /etc/modprobe.d/x.conf:1 when the module is loaded, then 65536 of /etc/sysctl.d/50-site.conf:1 at boot"
	if f.Summary != want || f.Severity != finding.Info {
		t.Errorf("%s: got %s\nwant %s", f.Severity, f.Summary, want)
	}
}

func TestTwoNames(t *testing.T) {
	first := doctortest.Sysctl(doctortest.SiteConf, 1, oldMax, "65536")
	last := doctortest.Sysctl("/etc/sysctl.d/99-last.conf", 3, doctortest.NetMax, "65536")
	first.NoEffect = "/etc/sysctl.d/99-last.conf:3 comes later"
	first.OverriddenBy = tree.Place{File: "/etc/sysctl.d/99-last.conf", Line: 3}
	f := doctortest.Find(t, checkContradictions(doctortest.Stopped(doctortest.Owned(t, first, last))), "two-names")
	want := "net.nf_conntrack_max and net.netfilter.nf_conntrack_max are one setting, " +
		"and the files use both names; applied: 65536 of /etc/sysctl.d/99-last.conf:3 at boot"
	if f.Summary != want || f.Severity != finding.Info {
		t.Errorf("%s: got %s\nwant %s", f.Severity, f.Summary, want)
	}
	last.Value = "131072"
	f = doctortest.Find(t, checkContradictions(doctortest.Stopped(doctortest.Owned(t, first, last))), "two-names")
	if f.Severity != finding.Warning {
		t.Errorf("different values: severity %s", f.Severity)
	}
}

func TestNoContradiction(t *testing.T) {
	hidden := doctortest.Sysctl(doctortest.VendorConf, 1, doctortest.NetMax, "4096")
	hidden.NoEffect = "hidden by /etc/sysctl.d/50-vendor.conf"
	ours := doctortest.Sysctl(persist.SysctlPath, 2, doctortest.NetMax, "2097152")
	ours.FromPersist = true
	toOurs := doctortest.Sysctl(doctortest.SiteConf, 1, doctortest.NetMax, "65536")
	toOurs.NoEffect = persist.SysctlPath + ":2 comes later"
	toOurs.OverriddenBy = tree.Place{File: persist.SysctlPath, Line: 2}
	proxy := doctortest.Sysctl("/var/lib/kube-proxy/config.conf", 12, doctortest.NetMax, "131072")
	proxy.AtLeast, proxy.Tool, proxy.Phase = true, "kube-proxy", inventory.AtServiceStart
	proxy.NoEffect = "it only raises, and " + doctortest.SiteConf + ":1 sets 262144"
	proxy.OverriddenBy = tree.Place{File: doctortest.SiteConf, Line: 1}
	again := doctortest.Sysctl(doctortest.SiteConf, 1, doctortest.NetMax, "262144")
	again.Tool, again.Phase = "udev", inventory.AfterModuleLoad
	for name, all := range map[string][]inventory.Assignment{
		"one place":           {doctortest.Sysctl(doctortest.SiteConf, 1, doctortest.NetMax, "1")},
		"hidden":              {hidden, doctortest.Sysctl(doctortest.SiteConf, 1, doctortest.NetMax, "1")},
		"lost to our file":    {toOurs, ours},
		"raises nothing":      {doctortest.Sysctl(doctortest.SiteConf, 1, doctortest.NetMax, "262144"), proxy},
		"one line, two times": {doctortest.Sysctl(doctortest.SiteConf, 1, doctortest.NetMax, "262144"), again},
		"the same in pages": {
			doctortest.Sysctl(doctortest.SiteConf, 1, doctortest.Buckets, "10000"),
			doctortest.Sysctl(doctortest.VendorConf, 1, doctortest.Buckets, "10240"),
		},
	} {
		t.Run(name, func(t *testing.T) { doctortest.Check(t, checkContradictions(doctortest.Owned(t, all...)), nil) })
	}
}

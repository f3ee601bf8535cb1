package boot

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/fixes"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/klog"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/doctortest"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// unmanaged is a host without ctkeeper's configuration, with these live values and assignments.
func unmanaged(t *testing.T, live map[string]string, all ...inventory.Assignment) *picture.Host {
	t.Helper()
	h := doctortest.Uninstalled(doctortest.Stopped(doctortest.Bare(doctortest.Owned(t, all...))))
	h.Settings = live
	return h
}

func TestSettingsDiffer(t *testing.T) {
	h := doctortest.Owned(t)
	h.Settings = map[string]string{"max": "65536", sysfs.Hashsize: "262144"}
	doctortest.Check(t, checkConfigured(h), nil) // the daemon is repairing it

	no := false
	h.Env.Running = &no
	w, _ := h.Want("max")
	want := finding.Finding{
		ID: "settings-differ", Severity: finding.Error,
		Summary: "the live values are not as configured, and no daemon repairs them: max is 65536, wanted 1048576",
		Evidence: []finding.Evidence{
			finding.Seen("/proc/sys/net/netfilter/nf_conntrack_max", 0, "65536"), finding.At(w.Origin, "max: 1048576"),
		},
		Fix: doctortest.Reload(),
	}
	doctortest.Check(t, checkConfigured(h), []finding.Finding{want})
	doctortest.Check(t, checkFiles(h), nil)

	h.Settings["max"] = "1048576"
	doctortest.Check(t, checkConfigured(h), nil)
	h.Settings["max"], h.Env.ChildNetns = "65536", true // the value of another namespace
	doctortest.Check(t, checkConfigured(h), nil)
	h = unmanaged(t, map[string]string{"max": "65536"})
	doctortest.Check(t, checkConfigured(h), nil) // the embedded default is only an offer
}

func TestSettingsNotKept(t *testing.T) {
	h := doctortest.Owned(t)
	doctortest.Check(t, checkKept(h), nil)
	place := tree.Place{File: "/etc/ctkeeper/ctkeeper.yaml", Line: 2}
	h.NotKept = []reconcile.SettingStatus{{Comparison: reconcile.Comparison{
		Name: "max", Policy: sysfs.Exactly, Want: sysfs.Number(1048576), State: reconcile.Contested, Origin: place,
	}}}
	want := finding.Finding{
		ID: "settings-not-kept", Severity: finding.Error,
		Summary:  "not every setting is as configured: max is not kept: another writer keeps changing it",
		Evidence: []finding.Evidence{finding.At(place, "max: 1048576")},
		Note:     "ctkeeper status has since when, and what to do about each.",
	}
	doctortest.Check(t, checkKept(h), []finding.Finding{want})
	h.Config = nil // a newer configuration is refused
	h.NotKept[0].LastDrift = &reconcile.Drift{By: &sysfs.Writer{PID: 7, Comm: "old-script"}}
	want.Summary = "not every setting is as configured: max is not kept: old-script (pid 7) keeps changing it"
	doctortest.Check(t, checkKept(h), []finding.Finding{want})
	h.Env.ChildNetns = true // only the host's first namespace can write it
	doctortest.Check(t, checkKept(h), nil)
}

func TestNotApplied(t *testing.T) {
	const file = "/etc/sysctl.d/50-site.conf"
	timeout := doctortest.Sysctl(file, 2, "net.netfilter.nf_conntrack_tcp_timeout_established", "7200")
	h := unmanaged(t, map[string]string{"tcp_timeout_established": "432000", "max": "65536"},
		doctortest.Sysctl(file, 1, doctortest.NetMax, "65536"), timeout)
	want := finding.Finding{
		ID: "not-applied", Severity: finding.Warning,
		Summary: "nf_conntrack_tcp_timeout_established is 432000, " +
			"and /etc/sysctl.d/50-site.conf:2 sets 7200 at boot: " +
			"it was changed since then, or this was never applied",
		Evidence: []finding.Evidence{
			finding.Seen("/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established", 0, "432000"),
			finding.Seen(file, 2, "net.netfilter.nf_conntrack_tcp_timeout_established = 7200"),
		},
		Fix:  fixes.Set("tcp_timeout_established", "7200"),
		Note: "If the live value is the right one, write it into the file. guard: watch shows who writes.",
	}
	doctortest.Check(t, checkFiles(h), []finding.Finding{want})

	h.Distro.Platform.Container = "lxc"
	if f := doctortest.Find(t, checkFiles(h), "not-applied"); len(f.Fix) > 0 {
		t.Errorf("in a container: %v", f.Fix)
	}
	h.Env.ChildNetns = true
	doctortest.Check(t, checkFiles(h), nil)
}

// What a file sets is compared by its meaning; what is not decided is never more than worth knowing.
func TestCheckFiles(t *testing.T) {
	sysctl := func(value string) inventory.Assignment {
		return doctortest.Sysctl(doctortest.SiteConf, 1, doctortest.NetMax, value)
	}
	early, proxy, sometimes, raises := sysctl("65536"), sysctl("131072"), sysctl("131072"), sysctl("131072")
	early.TooEarly = true
	proxy.Tool, proxy.Phase = picture.KubeProxy, inventory.AtServiceStart
	sometimes.Line, sometimes.Uncertain = 9, "within an if"
	raises.AtLeast = true
	computed := sometimes
	computed.Value = "$((RAM / 16))"
	for name, test := range map[string]struct {
		live map[string]string
		all  []inventory.Assignment
		want map[string]finding.Severity
	}{
		"as the file":      {map[string]string{"max": "65536"}, []inventory.Assignment{sysctl("65536")}, nil},
		"by nobody":        {map[string]string{"max": "65536"}, nil, nil},
		"module absent":    {nil, []inventory.Assignment{sysctl("65536")}, nil},
		"too early":        {map[string]string{"max": "131072"}, []inventory.Assignment{early}, nil}, // has its finding
		"raised by others": {map[string]string{"max": "200000"}, []inventory.Assignment{raises}, nil},
		"in whole pages": {map[string]string{sysfs.Hashsize: "10240"},
			[]inventory.Assignment{doctortest.Option("/x.conf", 1, sysfs.Hashsize, "10000")}, nil},
		"not raised": {map[string]string{"max": "100000"}, []inventory.Assignment{raises},
			map[string]finding.Severity{"not-applied": finding.Warning}},
		"the one that may be made": {map[string]string{"max": "131072"},
			[]inventory.Assignment{sysctl("65536"), sometimes},
			map[string]finding.Severity{"not-applied": finding.Info}},
		"neither of the two": {map[string]string{"max": "7"}, []inventory.Assignment{sysctl("65536"), sometimes},
			map[string]finding.Severity{"not-applied": finding.Warning}},
		"a value that only a script knows": {map[string]string{"max": "7"},
			[]inventory.Assignment{sysctl("65536"), computed},
			map[string]finding.Severity{"not-applied": finding.Info}},
		"a node out of service": {map[string]string{"max": "65536"}, []inventory.Assignment{proxy},
			map[string]finding.Severity{"not-applied": finding.Info}},
		"the kernel's max by hashsize": {map[string]string{"max": "524288"},
			[]inventory.Assignment{doctortest.Option("/x.conf", 1, sysfs.Hashsize, "65536")}, nil},
		"another max by hand": {map[string]string{"max": "500000"},
			[]inventory.Assignment{doctortest.Option("/x.conf", 1, sysfs.Hashsize, "65536")},
			map[string]finding.Severity{"not-applied": finding.Warning}},
		"expect_max by expect_hashsize": {map[string]string{"expect_max": "4096"},
			[]inventory.Assignment{doctortest.Option("/x.conf", 1, sysfs.ExpectHashsize, "2048")},
			map[string]finding.Severity{"not-applied": finding.Warning}},
		"a value that the kernel does not take": {map[string]string{"max": "65536"},
			[]inventory.Assignment{sysctl("many")}, map[string]finding.Severity{"not-applied": finding.Warning}},
	} {
		t.Run(name, func(t *testing.T) {
			var got map[string]finding.Severity
			for _, f := range checkFiles(unmanaged(t, test.live, test.all...)) {
				got = map[string]finding.Severity{f.ID: f.Severity}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

// A reset needs a proof, not a ratio: the kernel's log of two loads.
func TestResetSinceBoot(t *testing.T) {
	h := unmanaged(t, map[string]string{"max": "65536", sysfs.Hashsize: "16384"},
		doctortest.Sysctl(doctortest.SiteConf, 1, doctortest.NetMax, "262144"))
	load := klog.Message{
		Source: tree.Place{File: "/dev/kmsg"}, Text: "nf_conntrack version 0.5.0 (16384 buckets, 65536 max)",
	}
	h.Log.Messages = []klog.Message{load}
	doctortest.Find(t, checkFiles(h), "not-applied")

	h.Log.Messages = []klog.Message{load, load}
	f := doctortest.Find(t, checkFiles(h), "reset-since-boot")
	want := "nf_conntrack_max is 65536, and not 262144 of /etc/sysctl.d/50-site.conf:1: " +
		"the module was loaded again after the boot"
	if f.Severity != finding.Error || f.Summary != want || len(f.Evidence) != 3 {
		t.Errorf("%s %s, evidence %v", f.Severity, f.Summary, f.Evidence)
	}
	if diff := cmp.Diff(fixes.Set("max", "262144"), f.Fix); diff != "" {
		t.Errorf("fix (-want +got):\n%s", diff)
	}
}

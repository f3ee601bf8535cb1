package boot

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/doctortest"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/persist"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

func TestRuntimeOnly(t *testing.T) {
	live := func(h *picture.Host, buckets, limit, expect int64) *picture.Host {
		h.Figures.Buckets, h.Figures.Max, h.Figures.ExpectMax = &buckets, &limit, &expect
		return h
	}
	h := live(doctortest.Stopped(doctortest.Bare(doctortest.Owned(t, doctortest.Sysctl(doctortest.SiteConf, 1,
		doctortest.NetMax, "65536")))), 65536, 1048576, 1024)
	doctortest.Check(t, checkLive(h), []finding.Finding{{
		ID: "runtime-only", Severity: finding.Warning,
		Summary: "nf_conntrack_max is 1048576 now, and 65536 after the next boot",
		Evidence: []finding.Evidence{
			finding.Seen("/proc/sys/net/netfilter/nf_conntrack_max", 0, "1048576"),
			finding.Seen(doctortest.SiteConf, 1, doctortest.NetMax+" = 65536"),
		},
		Fix: []string{
			"mkdir -p /etc/ctkeeper/conf.d && printf '%s\\n' 'settings:' '  max: 1048576' > " +
				"/etc/ctkeeper/conf.d/60-live-max.yaml",
			"systemctl enable --now ctkeeper",
		},
		Note: "This keeps the live value. If the file is right, apply the file instead.",
	}})

	for name, test := range map[string]struct {
		files map[string]string
		from  inventory.Assignment
		want  []string
	}{
		"a sysctl line": {
			map[string]string{"etc/sysctl.d/50-site.conf": doctortest.NetMax +
				"=65536\n"}, doctortest.Sysctl(doctortest.SiteConf, 1, doctortest.NetMax, "65536"),
			[]string{"sed -i '1s/=.*/= 1048576/' /etc/sysctl.d/50-site.conf"},
		},
		"what another setting makes of it": {
			map[string]string{"etc/modprobe.d/x.conf": "options nf_conntrack " +
				"hashsize=65536\n"}, doctortest.Option("/etc/modprobe.d/x.conf", 1, sysfs.Hashsize, "65536"), nil,
		},
		"a script": {
			nil, inventory.Assignment{Place: tree.Place{File: "/etc/rc.local", Line: 2}, Name: "max",
				Key: doctortest.NetMax, Value: "65536", Tool: "rc.local", Phase: inventory.AtServiceStart}, nil,
		},
	} {
		h := live(doctortest.Uninstalled(doctortest.Stopped(doctortest.Bare(doctortest.Owned(t, test.from)))),
			65536, 1048576, 1024)
		doctortest.SetFiles(t, h, test.files)
		if diff := cmp.Diff(test.want, doctortest.Find(t, checkLive(h), "runtime-only").Fix); diff != "" {
			t.Errorf("no unit, %s (-want +got):\n%s", name, diff)
		}
	}

	// Enabled and not running: the next boot makes what the configuration asks.
	h, no := live(doctortest.Owned(t), 65536, 65536, 1024), false
	h.Env.Running = &no
	f := doctortest.Find(t, checkLive(h), "runtime-only")
	if want := "nf_conntrack_max is 65536 now, and 1048576 after the next boot"; f.Summary != want {
		t.Errorf("got %s\nwant %s", f.Summary, want)
	}
	if diff := cmp.Diff([]string{"systemctl reload-or-restart ctkeeper"}, f.Fix); diff != "" {
		t.Errorf("fix (-want +got):\n%s", diff)
	}

	doctortest.Check(t, checkLive(live(doctortest.Owned(t), 65536, 65536, 1024)), nil) // the daemon is at it
	doctortest.Check(t, checkLive(live(doctortest.Stopped(doctortest.Owned(t)), 65536, 65536, 1024)), nil)
	early := doctortest.Sysctl(doctortest.SiteConf, 1, doctortest.NetMax, "65536")
	early.TooEarly = true
	doctortest.Check(t, checkLive(live(doctortest.Stopped(doctortest.Owned(t, early)), 65536, 1048576, 1024)), nil)
	child := live(doctortest.Stopped(doctortest.Bare(doctortest.Owned(t, doctortest.Sysctl(doctortest.SiteConf, 1,
		doctortest.NetMax, "65536")))), 65536, 1048576, 1024)
	child.Env.ChildNetns = true
	doctortest.Check(t, checkLive(child), nil)
}

// A value that the module comes up with, against what the files say, was reset: the
// files are right, not the kernel.
func TestResetSinceBoot(t *testing.T) {
	host := func(buckets, limit int64, all ...inventory.Assignment) *picture.Host {
		h := doctortest.Stopped(doctortest.Bare(doctortest.Owned(t, all...)))
		expect := int64(256)
		h.Figures.Buckets, h.Figures.Max, h.Figures.ExpectMax = &buckets, &limit, &expect
		return h
	}
	option := doctortest.Option("/etc/modprobe.d/x.conf", 1, sysfs.Hashsize, "16384")
	lost := option
	lost.NoEffect = "/etc/sysconfig/modules/x.modules:3 comes later"
	lost.OverriddenBy = tree.Place{File: "/etc/sysconfig/modules/x.modules", Line: 3}
	script := inventory.Assignment{Place: tree.Place{File: "/etc/sysconfig/modules/x.modules", Line: 3},
		Name: sysfs.Hashsize, Key: sysfs.Hashsize, Value: "65536", Tool: "sysconfig"}
	limit := doctortest.Sysctl(doctortest.SiteConf, 1, doctortest.NetMax, "262144")
	for name, test := range map[string]struct {
		h    *picture.Host
		want []string
	}{
		"by hashsize=": {host(16384, 131072, option, limit), []string{
			"nf_conntrack_max is 131072, the value with which the module is loaded, and not 262144 of " +
				"/etc/sysctl.d/50-site.conf:1: the module was reloaded since the boot, or the line was never applied",
			"sysctl -w net.netfilter.nf_conntrack_max=262144",
		}},
		"the hash table": {host(16384, 131072, lost, script), []string{
			"hashsize is 16384, the value with which the module is loaded, and not 65536 of " +
				"/etc/sysconfig/modules/x.modules:3: the module was reloaded since the boot, or the line was never " +
				"applied",
			"echo 65536 > /sys/module/nf_conntrack/parameters/hashsize",
		}},
		"the kernel's own, since 5.15": {host(65536, 65536, limit), []string{
			"nf_conntrack_max is 65536, the value with which the module is loaded, and not 262144 of " +
				"/etc/sysctl.d/50-site.conf:1: the module was reloaded since the boot, or the line was never applied",
			"sysctl -w net.netfilter.nf_conntrack_max=262144",
		}},
		"the kernel's own, before": {host(16384, 65536, limit), []string{
			"nf_conntrack_max is 65536, the value with which the module is loaded, and not 262144 of " +
				"/etc/sysctl.d/50-site.conf:1: the module was reloaded since the boot, or the line was never applied",
			"sysctl -w net.netfilter.nf_conntrack_max=262144",
		}},
		"set by somebody":  {host(65536, 100000, limit), nil},
		"as the file says": {host(65536, 262144, limit), nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, f := range checkLive(test.h) {
				if f.ID == "reset-since-boot" {
					if f.Severity != finding.Error {
						t.Errorf("severity %s", f.Severity)
					}
					got = append(append(got, f.Summary), f.Fix...)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("summary and fix (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNextBoot(t *testing.T) {
	early := doctortest.Sysctl(doctortest.SiteConf, 1, doctortest.NetMax, "1")
	early.TooEarly = true
	overtaken := doctortest.Option("/etc/modprobe.d/x.conf", 1, sysfs.Hashsize, "10000")
	overtaken.NoEffect = doctortest.SiteConf + ":1 comes later: systemd-sysctl, at boot"
	overtaken.OverriddenBy = tree.Place{File: doctortest.SiteConf, Line: 1}
	atLeast := doctortest.Sysctl("/x.yaml", 12, doctortest.NetMax, "131072")
	atLeast.AtLeast, atLeast.Phase = true, inventory.AtServiceStart
	inactive := doctortest.Sysctl("/etc/tuned/x/tuned.conf", 2, doctortest.NetMax, "131072")
	inactive.AtLeast, inactive.Phase, inactive.NoEffect = true, inventory.AtTunedProfile, "not the active profile"
	for name, test := range map[string]struct {
		setting string
		all     []inventory.Assignment
		want    string
	}{
		"a sysctl": {"max", []inventory.Assignment{doctortest.Sysctl(doctortest.SiteConf, 1,
			doctortest.NetMax, "7")}, "7"},
		"hashsize at load makes max": {"max", []inventory.Assignment{doctortest.Option("/x.conf", 1,
			sysfs.Hashsize, "10000")}, "81920"},
		"and buckets": {sysfs.Hashsize, []inventory.Assignment{doctortest.Option("/x.conf", 1,
			sysfs.Hashsize, "10000")}, "10000"},
		"expect_hashsize makes expects": {"expect_max", []inventory.Assignment{doctortest.Option("/x.conf", 1,
			sysfs.ExpectHashsize, "2048")}, "8192"},
		"max after hashsize": {"max", []inventory.Assignment{doctortest.Option("/x.conf", 1,
			sysfs.Hashsize, "512"), doctortest.Sysctl(doctortest.SiteConf, 1, doctortest.NetMax, "7")}, "7"},
		"too early is not at all": {"max", []inventory.Assignment{doctortest.Option("/x.conf", 1,
			sysfs.Hashsize, "512"), early}, "4096"},
		"overtaken by buckets all right": {"max", []inventory.Assignment{overtaken,
			doctortest.Sysctl(doctortest.SiteConf, 1, doctortest.Buckets, "512")}, "81920"},
		"only raised": {"max", []inventory.Assignment{doctortest.Sysctl(doctortest.SiteConf, 1,
			doctortest.NetMax, "262144"), atLeast}, "262144"},
		"raised": {"max", []inventory.Assignment{doctortest.Sysctl(doctortest.SiteConf, 1,
			doctortest.NetMax, "7"), atLeast}, "131072"},
		"raised from an unknown value": {"max", []inventory.Assignment{atLeast}, ""},
		"not the active profile": {"max", []inventory.Assignment{doctortest.Sysctl(doctortest.SiteConf, 1,
			doctortest.NetMax, "7"), inactive}, "7"},
		"nobody": {"max", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, _, known := nextBoot(doctortest.Owned(t, test.all...), test.setting)
			if got != test.want || known != (test.want != "") {
				t.Errorf("got %q, %v, want %q", got, known, test.want)
			}
		})
	}
}

func TestLoadParameters(t *testing.T) {
	h := doctortest.Owned(t)
	h.Modules = kmod.ParseModules([]byte("xt_state 1492 2 - Live 0x0\nnf_conntrack 79206 1 xt_state, Live 0x0\n"))
	h.Parameters = map[string]string{"expect_hashsize": "256"}
	users := kmod.Users(h.Modules, kmod.Conntrack)
	want := finding.Finding{
		ID: "load-parameter-differs", Severity: finding.Warning,
		Summary: "the module is loaded with other parameters, which only a reload changes: expect_hashsize is 256, " +
			"ctkeeper wants 2048",
		Evidence: []finding.Evidence{
			finding.Seen("/sys/module/nf_conntrack/parameters/expect_hashsize", 0, "256"),
			finding.Seen(doctortest.MainFile, 6, "expect_hashsize: 2048"),
			finding.Seen("/proc/modules", 0, "nf_conntrack is used by "+strings.Join(users, ", ")),
		},
		Note: "The next boot applies them. To apply them now: stop the firewall, modprobe -r " + strings.Join(users,
			" ") + " nf_conntrack, start the firewall. Every tracked connection is lost.",
	}
	doctortest.Check(t, checkParameters(h), []finding.Finding{want})
	h.Parameters = map[string]string{"expect_hashsize": "2048"}
	doctortest.Check(t, checkParameters(h), nil)
	h.Module.State = kmod.BuiltIn
	h.Parameters = map[string]string{"expect_hashsize": "256"}
	doctortest.Check(t, checkParameters(h), nil)
}

func TestBootFilesStale(t *testing.T) {
	h := doctortest.Owned(t)
	host := tree.At(t.TempDir())
	plan := func() { h.BootPlan, h.BootPlanErr = persist.NewPlan(host, h.Config, persist.Options{}) }
	plan()
	f := doctortest.Find(t, checkBootFiles(h), "boot-files-stale")
	if f.Severity != finding.Info || f.Summary != "the boot files are not written: until ctkeeper runs, the module "+
		"has other values after it is loaded" {
		t.Errorf("nothing written: %s %s", f.Severity, f.Summary)
	}
	if _, err := h.BootPlan.Write(host); err != nil {
		t.Fatal(err)
	}
	plan()
	doctortest.Check(t, checkBootFiles(h), nil)

	h.Config.Module.Parameters[0].Value = "4096"
	plan()
	f = doctortest.Find(t, checkBootFiles(h), "boot-files-stale")
	if f.Severity != finding.Warning || f.Summary != "the boot files are not as configured: "+persist.ModprobePath {
		t.Errorf("stale: %s %s", f.Severity, f.Summary)
	}
	if len(f.Evidence) != 1 || !strings.Contains(f.Evidence[0].Text, "expect_hashsize=4096") {
		t.Errorf("evidence %+v", f.Evidence)
	}
	if diff := cmp.Diff([]string{"ctkeeper persist"}, f.Fix); diff != "" {
		t.Errorf("fix (-want +got):\n%s", diff)
	}

	doctortest.Put(t, host.Root(), map[string]string{
		strings.TrimPrefix(persist.ModprobePath, "/"): "options nf_conntrack hashsize=1\n",
	})
	plan()
	doctortest.Find(t, checkBootFiles(h), "boot-files-refused")

	h.Config, h.Env.Installed = doctortest.Bare(h).Config, false
	doctortest.Check(t, checkBootFiles(h), nil) // a host that ctkeeper has nothing to do with
}

func withMax(h *picture.Host, n int64) *picture.Host {
	h.Figures.Max = &n
	return h
}

func TestFixOfALiveValue(t *testing.T) {
	h := doctortest.Uninstalled(doctortest.Stopped(doctortest.Owned(t, doctortest.Sysctl(doctortest.SiteConf, 1,
		doctortest.NetMax, "65536"))))
	doctortest.FixTwice(t, withMax(h, 1048576), checkLive, doctortest.SiteConf, doctortest.NetMax+"=65536\n",
		doctortest.NetMax+"= 1048576\n")
}

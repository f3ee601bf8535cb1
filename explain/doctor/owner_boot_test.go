package doctor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/persist"
)

type errTest string

func (e errTest) Error() string { return string(e) }

// troubleOf makes a loop of links, and gives what reading it says.
func troubleOf(t *testing.T, host tree.Tree, root, path string) error {
	t.Helper()
	if err := os.Symlink(filepath.Base(path), filepath.Join(root, path)); err != nil {
		t.Fatal(err)
	}
	_, err := host.Read(path, 1)
	return err
}

func TestContradictions(t *testing.T) {
	first, last := sysctl(siteConf, 1, netMax, "65536"), sysctl("/etc/sysctl.d/99-last.conf", 3, netMax, "131072")
	first.NoEffect = "/etc/sysctl.d/99-last.conf:3 comes later"
	h := stopped(owned(t, first, last))
	put(t, h.Tree.Root(), map[string]string{"etc/sysctl.d/50-site.conf": netMax + "=65536\n"})
	want := Finding{
		ID: "contradiction", Severity: Warning,
		Summary: "nf_conntrack_max is given 2 different values; in force: 131072 of /etc/sysctl.d/99-last.conf:3 at boot",
		Evidence: []Evidence{
			seen(siteConf, 1, netMax+"=65536 (systemd-sysctl, at boot: lost, /etc/sysctl.d/99-last.conf:3 comes later)"),
			seen("/etc/sysctl.d/99-last.conf", 3, netMax+" = 131072 (systemd-sysctl, at boot: wins)"),
		},
		Fix: []string{"sed -i '1s/^[^#]/# &/' /etc/sysctl.d/50-site.conf"},
	}
	wants(t, contradictions(h), []Finding{want})

	yes := true
	h.Place.Enabled, h.Place.Running = true, &yes
	want.Severity, want.Fix = Info, nil // the daemon has the last word
	wants(t, contradictions(h), []Finding{want})
}

func TestContradictionOfPhases(t *testing.T) {
	load, boot := option("/etc/modprobe.d/x.conf", 1, hashsize, "8192"), sysctl(siteConf, 1, buckets, "65536")
	load.NoEffect = "/etc/sysctl.d/50-site.conf:1 comes later: systemd-sysctl, at boot"
	f := find(t, contradictions(stopped(owned(t, load, boot))), "two-names")
	want := "hashsize and net.netfilter.nf_conntrack_buckets are one setting, and the files use both names; in force: " +
		"8192 of /etc/modprobe.d/x.conf:1 when the module is loaded, then 65536 of /etc/sysctl.d/50-site.conf:1 at boot"
	if f.Summary != want || f.Severity != Warning {
		t.Errorf("%s: got %s\nwant %s", f.Severity, f.Summary, want)
	}
}

func TestTwoNames(t *testing.T) {
	first, last := sysctl(siteConf, 1, oldMax, "65536"), sysctl("/etc/sysctl.d/99-last.conf", 3, netMax, "65536")
	first.NoEffect = "/etc/sysctl.d/99-last.conf:3 comes later"
	f := find(t, contradictions(stopped(owned(t, first, last))), "two-names")
	want := "net.nf_conntrack_max and net.netfilter.nf_conntrack_max are one setting, and the files use both names; in force: 65536 of /etc/sysctl.d/99-last.conf:3 at boot"
	if f.Summary != want || f.Severity != Info {
		t.Errorf("%s: got %s\nwant %s", f.Severity, f.Summary, want)
	}
}

func TestNoContradiction(t *testing.T) {
	hidden := sysctl(vendorConf, 1, netMax, "4096")
	hidden.NoEffect = "hidden by /etc/sysctl.d/50-vendor.conf"
	ours := sysctl(persist.SysctlPath, 2, netMax, "2097152")
	ours.FromPersist = true
	toOurs := sysctl(siteConf, 1, netMax, "65536")
	toOurs.NoEffect = persist.SysctlPath + ":2 comes later"
	proxy := sysctl("/var/lib/kube-proxy/config.conf", 12, netMax, "131072")
	proxy.AtLeast, proxy.Tool, proxy.Phase, proxy.NoEffect = true, "kube-proxy", inventory.AtServiceStart, "it only raises, and "+siteConf+":1 gives 262144"
	again := sysctl(siteConf, 1, netMax, "262144")
	again.Tool, again.Phase = "udev", inventory.AfterModuleLoad
	for name, all := range map[string][]inventory.Assignment{
		"one place":           {sysctl(siteConf, 1, netMax, "1")},
		"hidden":              {hidden, sysctl(siteConf, 1, netMax, "1")},
		"lost to our file":    {toOurs, ours},
		"raises nothing":      {sysctl(siteConf, 1, netMax, "262144"), proxy},
		"one line, two times": {sysctl(siteConf, 1, netMax, "262144"), again},
		"the same in pages":   {sysctl(siteConf, 1, buckets, "10000"), sysctl(vendorConf, 1, buckets, "10240")},
	} {
		t.Run(name, func(t *testing.T) { wants(t, contradictions(owned(t, all...)), nil) })
	}
}

func TestRuntimeOnly(t *testing.T) {
	live := func(h *Host, buckets, limit, expect int64) *Host {
		h.Figures.Buckets, h.Figures.Max, h.Figures.ExpectMax = &buckets, &limit, &expect
		return h
	}
	h := live(stopped(bare(owned(t, sysctl(siteConf, 1, netMax, "65536")))), 65536, 1048576, 1024)
	wants(t, runtimeOnly(h), []Finding{{
		ID: "runtime-only", Severity: Warning,
		Summary: "nf_conntrack_max is 1048576 now, and the next boot makes it 65536",
		Evidence: []Evidence{
			seen("/proc/sys/net/netfilter/nf_conntrack_max", 0, "1048576"),
			seen(siteConf, 1, netMax+" = 65536"),
		},
		Fix: []string{
			"mkdir -p /etc/ctkeeper/conf.d && printf '%s\\n' 'settings:' '  max: 1048576' > /etc/ctkeeper/conf.d/60-live-max.yaml",
			"systemctl enable --now ctkeeper",
		},
		Note: "This keeps the value that is in force now. If the file is right, have it applied instead.",
	}})

	for name, test := range map[string]struct {
		files map[string]string
		from  inventory.Assignment
		want  []string
	}{
		"a sysctl line": {
			map[string]string{"etc/sysctl.d/50-site.conf": netMax + "=65536\n"}, sysctl(siteConf, 1, netMax, "65536"),
			[]string{"sed -i '1s/=.*/= 1048576/' /etc/sysctl.d/50-site.conf"},
		},
		"what another setting makes of it": {
			map[string]string{"etc/modprobe.d/x.conf": "options nf_conntrack hashsize=65536\n"}, option("/etc/modprobe.d/x.conf", 1, hashsize, "65536"), nil,
		},
		"a script": {
			nil, inventory.Assignment{Place: tree.Place{File: "/etc/rc.local", Line: 2}, Name: "max", Key: netMax, Value: "65536", Tool: "rc.local", Phase: inventory.AtServiceStart}, nil,
		},
	} {
		h := live(uninstalled(stopped(bare(owned(t, test.from)))), 65536, 1048576, 1024)
		put(t, h.Tree.Root(), test.files)
		if diff := cmp.Diff(test.want, find(t, runtimeOnly(h), "runtime-only").Fix); diff != "" {
			t.Errorf("no unit, %s (-want +got):\n%s", name, diff)
		}
	}

	// Enabled and not running: the next boot makes what the configuration asks.
	h, no := live(owned(t), 65536, 65536, 1024), false
	h.Place.Running = &no
	f := find(t, runtimeOnly(h), "runtime-only")
	if want := "nf_conntrack_max is 65536 now, and the next boot makes it 1048576"; f.Summary != want {
		t.Errorf("got %s\nwant %s", f.Summary, want)
	}
	if diff := cmp.Diff([]string{"systemctl reload-or-restart ctkeeper"}, f.Fix); diff != "" {
		t.Errorf("fix (-want +got):\n%s", diff)
	}

	wants(t, runtimeOnly(live(owned(t), 65536, 65536, 1024)), nil) // the daemon is at it
	wants(t, runtimeOnly(live(stopped(owned(t)), 65536, 65536, 1024)), nil)
	early := sysctl(siteConf, 1, netMax, "65536")
	early.TooEarly = true
	wants(t, runtimeOnly(live(stopped(owned(t, early)), 65536, 1048576, 1024)), nil)
	child := live(stopped(bare(owned(t, sysctl(siteConf, 1, netMax, "65536")))), 65536, 1048576, 1024)
	child.Place.ChildNetns = true
	wants(t, runtimeOnly(child), nil)
}

// A value that the module comes up with, against what the files say, was reset: the
// files are right, not the kernel.
func TestResetSinceBoot(t *testing.T) {
	host := func(buckets, limit int64, all ...inventory.Assignment) *Host {
		h := stopped(bare(owned(t, all...)))
		expect := int64(256)
		h.Figures.Buckets, h.Figures.Max, h.Figures.ExpectMax = &buckets, &limit, &expect
		return h
	}
	option := option("/etc/modprobe.d/x.conf", 1, hashsize, "16384")
	lost := option
	lost.NoEffect = "/etc/sysconfig/modules/x.modules:3 comes later"
	script := inventory.Assignment{Place: tree.Place{File: "/etc/sysconfig/modules/x.modules", Line: 3}, Name: hashsize, Key: hashsize, Value: "65536", Tool: "sysconfig"}
	limit := sysctl(siteConf, 1, netMax, "262144")
	for name, test := range map[string]struct {
		h    *Host
		want []string
	}{
		"by hashsize=": {host(16384, 131072, option, limit), []string{
			"nf_conntrack_max is 131072, which the module comes up with, and not 262144 of /etc/sysctl.d/50-site.conf:1: the module was loaded anew since then, or the line was never applied",
			"sysctl -w net.netfilter.nf_conntrack_max=262144",
		}},
		"the hash table": {host(16384, 131072, lost, script), []string{
			"hashsize is 16384, which the module comes up with, and not 65536 of /etc/sysconfig/modules/x.modules:3: the module was loaded anew since then, or the line was never applied",
			"echo 65536 > /sys/module/nf_conntrack/parameters/hashsize",
		}},
		"the kernel's own, since 5.15": {host(65536, 65536, limit), []string{
			"nf_conntrack_max is 65536, which the module comes up with, and not 262144 of /etc/sysctl.d/50-site.conf:1: the module was loaded anew since then, or the line was never applied",
			"sysctl -w net.netfilter.nf_conntrack_max=262144",
		}},
		"the kernel's own, before": {host(16384, 65536, limit), []string{
			"nf_conntrack_max is 65536, which the module comes up with, and not 262144 of /etc/sysctl.d/50-site.conf:1: the module was loaded anew since then, or the line was never applied",
			"sysctl -w net.netfilter.nf_conntrack_max=262144",
		}},
		"set by somebody":  {host(65536, 100000, limit), nil},
		"as the file says": {host(65536, 262144, limit), nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, f := range runtimeOnly(test.h) {
				if f.ID == "reset-since-boot" {
					if f.Severity != Error {
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
	early := sysctl(siteConf, 1, netMax, "1")
	early.TooEarly = true
	overtaken := option("/etc/modprobe.d/x.conf", 1, hashsize, "10000")
	overtaken.NoEffect = siteConf + ":1 comes later: systemd-sysctl, at boot"
	atLeast := sysctl("/x.yaml", 12, netMax, "131072")
	atLeast.AtLeast, atLeast.Phase = true, inventory.AtServiceStart
	inactive := sysctl("/etc/tuned/x/tuned.conf", 2, netMax, "131072")
	inactive.AtLeast, inactive.Phase, inactive.NoEffect = true, inventory.AtTunedProfile, "not the active profile"
	for name, test := range map[string]struct {
		setting string
		all     []inventory.Assignment
		want    string
	}{
		"a sysctl":                       {"max", []inventory.Assignment{sysctl(siteConf, 1, netMax, "7")}, "7"},
		"hashsize at load makes max":     {"max", []inventory.Assignment{option("/x.conf", 1, hashsize, "10000")}, "81920"},
		"and buckets":                    {hashsize, []inventory.Assignment{option("/x.conf", 1, hashsize, "10000")}, "10000"},
		"expect_hashsize makes expects":  {"expect_max", []inventory.Assignment{option("/x.conf", 1, expectHashsize, "2048")}, "8192"},
		"max after hashsize":             {"max", []inventory.Assignment{option("/x.conf", 1, hashsize, "512"), sysctl(siteConf, 1, netMax, "7")}, "7"},
		"too early is not at all":        {"max", []inventory.Assignment{option("/x.conf", 1, hashsize, "512"), early}, "4096"},
		"overtaken by buckets all right": {"max", []inventory.Assignment{overtaken, sysctl(siteConf, 1, buckets, "512")}, "81920"},
		"only raised":                    {"max", []inventory.Assignment{sysctl(siteConf, 1, netMax, "262144"), atLeast}, "262144"},
		"raised":                         {"max", []inventory.Assignment{sysctl(siteConf, 1, netMax, "7"), atLeast}, "131072"},
		"raised from nobody knows what":  {"max", []inventory.Assignment{atLeast}, ""},
		"not the active profile":         {"max", []inventory.Assignment{sysctl(siteConf, 1, netMax, "7"), inactive}, "7"},
		"nobody":                         {"max", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, _, known := owned(t, test.all...).nextBoot(test.setting)
			if got != test.want || known != (test.want != "") {
				t.Errorf("got %q, %v, want %q", got, known, test.want)
			}
		})
	}
}

func TestLoadParameters(t *testing.T) {
	h := owned(t)
	h.Modules = kmod.ParseModules([]byte(neighbour))
	put(t, h.Tree.Root(), map[string]string{"sys/module/nf_conntrack/parameters/expect_hashsize": "256\n"})
	users := kmod.Users(h.Modules, kmod.Conntrack)
	want := Finding{
		ID: "load-parameter-differs", Severity: Warning,
		Summary: "the module is loaded with other parameters, which only a reload changes: expect_hashsize is 256, the configuration asks for 2048",
		Evidence: []Evidence{
			seen("/sys/module/nf_conntrack/parameters/expect_hashsize", 0, "256"),
			seen(mainFile, 6, "expect_hashsize: 2048"),
			seen("/proc/modules", 0, "nf_conntrack is used by "+strings.Join(users, ", ")),
		},
		Note: "The next boot brings them. Sooner: stop the firewall, modprobe -r " + strings.Join(users, " ") + " nf_conntrack, start the firewall; every tracked connection is forgotten.",
	}
	wants(t, loadParameters(h), []Finding{want})
	put(t, h.Tree.Root(), map[string]string{"sys/module/nf_conntrack/parameters/expect_hashsize": "2048\n"})
	wants(t, loadParameters(h), nil)
	h.Module.State = kmod.BuiltIn
	put(t, h.Tree.Root(), map[string]string{"sys/module/nf_conntrack/parameters/expect_hashsize": "256\n"})
	wants(t, loadParameters(h), nil)
}

func TestBootFilesStale(t *testing.T) {
	h := owned(t)
	f := find(t, bootFilesStale(h), "boot-files-stale")
	if f.Severity != Info || f.Summary != "the boot files are not written: until ctkeeper runs, the module comes up with other values" {
		t.Errorf("nothing written: %s %s", f.Severity, f.Summary)
	}
	plan, err := persist.NewPlan(h.Tree, h.Config, persist.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plan.Write(h.Tree); err != nil {
		t.Fatal(err)
	}
	wants(t, bootFilesStale(h), nil)

	h.Config.Module.Parameters[0].Value = "4096"
	f = find(t, bootFilesStale(h), "boot-files-stale")
	if f.Severity != Warning || f.Summary != "the boot files are not what the configuration asks for: "+persist.ModprobePath {
		t.Errorf("stale: %s %s", f.Severity, f.Summary)
	}
	if len(f.Evidence) != 1 || !strings.Contains(f.Evidence[0].Text, "expect_hashsize=4096") {
		t.Errorf("evidence %+v", f.Evidence)
	}
	if diff := cmp.Diff([]string{"ctkeeper persist"}, f.Fix); diff != "" {
		t.Errorf("fix (-want +got):\n%s", diff)
	}

	put(t, h.Tree.Root(), map[string]string{strings.TrimPrefix(persist.ModprobePath, "/"): "options nf_conntrack hashsize=1\n"})
	find(t, bootFilesStale(h), "boot-files-refused")

	h.Config, h.Place.Installed = bare(h).Config, false
	wants(t, bootFilesStale(h), nil) // a host that ctkeeper has nothing to do with
}

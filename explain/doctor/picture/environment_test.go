package picture

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/host/mountinfo"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
)

// symlink makes a link below root.
func symlink(t *testing.T, root, name, target string) {
	t.Helper()
	full := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, full); err != nil {
		t.Fatal(err)
	}
}

const plain = "22 27 0:21 / /proc rw,relatime - proc proc rw\n23 27 0:22 / /sys rw - sysfs sysfs rw\n27 1 254:0 " +
	"/ / ro - ext4 /dev/vda rw\n"

var environmentTests = map[string]struct {
	files map[string]string
	links map[string]string
	want  Environment
}{
	"nothing": {},
	"a disk with the unit": {
		map[string]string{vendorUnit: "[Service]\nUser=ctkeeper\n", "usr/lib/systemd/systemd": ""},
		map[string]string{wantsLink: "/usr/lib/systemd/system/ctkeeper.service"},
		Environment{Systemd: true, Installed: true, Enabled: true},
	},
	"merged /usr": {
		map[string]string{vendorUnit: "[Service]\n"},
		map[string]string{"lib": "usr/lib"},
		Environment{Installed: true},
	},
	"masked": {
		map[string]string{vendorUnit: "[Service]\n"},
		map[string]string{ownUnit: "/dev/null"},
		Environment{Installed: true, Masked: true},
	},
	"linked": {
		map[string]string{vendorUnit: "[Service]\n"},
		map[string]string{ownUnit: "../../../usr/lib/systemd/system/ctkeeper.service"},
		Environment{Installed: true},
	},
	"installed in /etc by hand": {map[string]string{ownUnit: "[Service]\nUser=x\n"}, nil,
		Environment{Installed: true}},
	"a copy": {
		map[string]string{vendorUnit: "[Service]\nUser=ctkeeper\n",
			ownUnit: "# mine\n[Service]\nUser=x\nExecStart=/usr/bin/ctkeeper \\\n# why not\n  run\n"}, nil,
		Environment{Installed: true, Overrides: []finding.Evidence{finding.Seen("/"+ownUnit, 3, "User=x"),
			finding.Seen("/"+ownUnit, 4, "ExecStart=/usr/bin/ctkeeper run")}},
	},
	"drop-ins": {
		map[string]string{
			vendorUnit: "[Service]\nUser=ctkeeper\n",
			"usr/lib/systemd/system/ctkeeper.service.d/50-x.conf": "[Service]\nUser=hidden\n",
			dropInFile: "[Service]\n\nUser=shown\n",
			"run/systemd/system/ctkeeper.service.d/20-a.conf":     "[Service]\r\nNice=5\r\n",
			"etc/systemd/system/ctkeeper.service.d/README":        "User=nobody\n",
			"etc/systemd/system/ctkeeper.service.d/90-d.conf/x":   "a directory\n",
			"usr/lib/systemd/system/service.d/10-all.conf":        "[Service]\nTimeoutStopFailureMode=abort\n",
			"usr/lib/systemd/system/ctkeeper.service.d/60-m.conf": "[Service]\nUser=masked\n",
		},
		map[string]string{"etc/systemd/system/ctkeeper.service.d/60-m.conf": "/dev/null"},
		Environment{Systemd: true, Installed: true, Overrides: []finding.Evidence{
			finding.Seen("/usr/lib/systemd/system/service.d/10-all.conf", 2, "TimeoutStopFailureMode=abort"),
			finding.Seen("/run/systemd/system/ctkeeper.service.d/20-a.conf", 2,
				"Nice=5"), finding.Seen("/"+dropInFile, 3, "User=shown"),
			finding.Seen("/etc/systemd/system/ctkeeper.service.d/90-d.conf", 0, "cannot be read: is a directory"),
		}},
	},
	"a namespace of its own": {map[string]string{"proc/sys/net/netfilter/nf_conntrack_max": "65536\n"}, nil,
		Environment{ChildNetns: true}},
	"the first namespace": {
		map[string]string{"proc/sys/net/netfilter/nf_conntrack_max": "65536\n",
			"proc/sys/net/nf_conntrack_max": "65536\n"}, nil, Environment{},
	},
	"a read-only root": {map[string]string{"proc/self/mountinfo": plain}, nil, Environment{}},
	"a container": {
		map[string]string{"proc/self/mountinfo": plain +
			"30 22 0:21 /sys /proc/sys ro,nosuid - proc proc rw\n31 23 0:22 / /sys ro - sysfs sysfs ro\nodd " +
			"line\n", ".dockerenv": ""}, nil,
		Environment{ReadOnly: []finding.Evidence{
			finding.Seen(mountinfo.File, 4,
				"30 22 0:21 /sys /proc/sys ro,nosuid - proc proc rw"), finding.Seen(mountinfo.File, 5, "31 23 "+
				"0:22 / /sys ro - sysfs sysfs ro"),
		}},
	},
	"systemd in a container": {
		map[string]string{"run/systemd/container": "systemd-nspawn\n", "run/systemd/system/x": ""}, nil,
		Environment{Systemd: true},
	},
}

func TestEnvironment(t *testing.T) {
	for name, test := range environmentTests {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			put(t, root, test.files)
			for link, target := range test.links {
				symlink(t, root, link, target)
			}
			got := readEnvironment(t.Context(), tree.At(root), Options{
				Source:  config.Source{Root: root},
				Running: func(context.Context) bool { return false }}) // which proves nothing of a tree
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("environment (-want +got):\n%s", diff)
			}
		})
	}
}

func TestConfigWritten(t *testing.T) {
	root := t.TempDir()
	put(t, root, map[string]string{"etc/ctkeeper/ctkeeper.yaml": "", "etc/ctkeeper/conf.d/50-a.yaml": "",
		"srv/own.yaml": ""})
	at := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	for name, changed := range map[string]time.Time{
		"etc/ctkeeper/ctkeeper.yaml":    at.Add(-time.Hour),
		"etc/ctkeeper/conf.d/50-a.yaml": at,
		"srv/own.yaml":                  at.Add(time.Hour),
	} {
		if err := os.Chtimes(filepath.Join(root, name), changed, changed); err != nil {
			t.Fatal(err)
		}
	}
	for main, want := range map[string]time.Time{"": at, "/srv/own.yaml": at.Add(time.Hour), "/srv/none.yaml": {}} {
		if got := readConfigWritten(tree.At(root), config.Source{Root: root, Main: main}); !got.Equal(want) {
			t.Errorf("%q: got %s, want %s", main, got, want)
		}
	}
}

// TestThisHost: the privileges are those of this host only, and a daemon that answers runs.
func TestThisHost(t *testing.T) {
	p := readEnvironment(t.Context(), tree.At("/"), Options{Running: running})
	if p.Running == nil || !*p.Running {
		t.Error("the daemon was not queried")
	}
	if p := readEnvironment(t.Context(), tree.At(t.TempDir()), Options{Running: running}); p.Running == nil || p.Root {
		t.Errorf("a tree with a daemon: %+v", p)
	}
	if p.Root != (os.Geteuid() == 0) {
		t.Errorf("root is %v, and the effective uid %d", p.Root, os.Geteuid())
	}
}

func FuzzUnitLines(f *testing.F) {
	f.Add("[Service]\nUser=x\\\n y\n# a\n")
	f.Add("CapabilityBoundingSet=~\nBindPaths=\n\\\n")
	f.Fuzz(func(t *testing.T, text string) {
		root := t.TempDir()
		kerneltree.Put(t, root, dropInFile, text)
		lines := readUnitLines(tree.At(root), "/"+dropInFile)
		for _, line := range lines {
			if line.Text == "" || line.Line < 1 {
				t.Errorf("an empty assignment: %+v", line)
			}
		}
	})
}

func FuzzReadOnly(f *testing.F) {
	f.Add("30 22 0:21 /sys /proc/sys ro,nosuid - proc proc rw\n")
	f.Add("1 2 3 4 / ro\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		root := t.TempDir()
		kerneltree.Put(t, root, "proc/self/mountinfo", text)
		for _, e := range readOnlyMounts(tree.At(root)) {
			if e.Text == "" || e.Line < 1 {
				t.Errorf("no mount: %+v", e)
			}
		}
	})
}

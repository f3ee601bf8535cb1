package doctor

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
)

const (
	vendorUnit = "usr/lib/systemd/system/ctkeeper.service"
	ownUnit    = "etc/systemd/system/ctkeeper.service"
	dropInFile = "etc/systemd/system/ctkeeper.service.d/50-x.conf"
	wantsLink  = "etc/systemd/system/multi-user.target.wants/ctkeeper.service"
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

func TestSelf(t *testing.T) {
	yes, no := true, false
	disk := tree.At("/mnt")
	docker := seen("/.dockerenv", 0, "docker")
	tests := map[string]struct {
		host *Host
		ask  check
		want []Finding
	}{
		"the rights of root": {&Host{Place: Place{NetAdmin: true, Root: true}}, noCapability, nil},
		"a disk":             {&Host{Tree: disk}, noCapability, nil},
		"not root": {&Host{}, noCapability, []Finding{{
			ID: "no-capability", Severity: Info, Summary: "doctor runs without CAP_NET_ADMIN, and some things cannot be seen: run it as root",
			Evidence: []Evidence{seen("/proc/self/status", 0, "CapEff: without CAP_NET_ADMIN")},
		}}},
		"root of a container": {&Host{Place: Place{Root: true, Container: docker}}, noCapability, []Finding{{
			ID: "no-capability", Severity: Warning, Summary: "root has no CAP_NET_ADMIN here: ctkeeper can set nothing",
			Evidence: []Evidence{seen("/proc/self/status", 0, "CapEff: without CAP_NET_ADMIN"), docker},
			Note:     "The container or service that this runs in took it away: give it back (docker run --cap-add NET_ADMIN), or run ctkeeper on the host.",
		}}},
		"the first namespace": {&Host{}, inChildNetns, nil},
		"another namespace": {&Host{Place: Place{ChildNetns: true}}, inChildNetns, []Finding{{
			ID: "child-netns", Severity: Warning, Summary: "this is not the host's first network namespace: hashsize, max and expect_max cannot be set here",
			Evidence: []Evidence{seen("/proc/sys/net/nf_conntrack_max", 0, "not there, as in every namespace but the first")},
			Note:     "Run ctkeeper on the host, or with the host's network (docker run --network host, hostNetwork: true). The other settings belong to each namespace by itself.",
		}}},
		"writable": {&Host{}, onReadOnly, nil},
		"read-only": {&Host{Place: Place{ReadOnly: []Evidence{seen(mountinfo, 7, "62 50 0:5 /sys /proc/sys ro - proc proc rw")}, Container: docker}}, onReadOnly, []Finding{{
			ID: "read-only", Severity: Warning, Summary: "/proc/sys is read-only here: ctkeeper can set nothing",
			Evidence: []Evidence{seen(mountinfo, 7, "62 50 0:5 /sys /proc/sys ro - proc proc rw"), docker},
			Note:     "Run ctkeeper on the host, or give its container a writable /proc/sys (docker run --privileged).",
		}}},
		"read-only /sys alone": {&Host{Place: Place{ReadOnly: []Evidence{seen(mountinfo, 7, "62 50 0:5 / /sys ro - sysfs sysfs ro")}}}, onReadOnly, []Finding{{
			ID: "read-only", Severity: Info, Summary: "/sys is read-only: ctkeeper sets hashsize through /proc/sys where the kernel lets it",
			Evidence: []Evidence{seen(mountinfo, 7, "62 50 0:5 / /sys ro - sysfs sysfs ro")},
		}}},
		"runs":              {&Host{Place: Place{Systemd: true, Installed: true, Enabled: true, Running: &yes}}, serviceState, nil},
		"a disk, all right": {&Host{Tree: disk, Place: service()}, serviceState, nil},
		"does not run": {&Host{Place: Place{Systemd: true, Installed: true, Enabled: true, Running: &no}}, serviceState, []Finding{{
			ID: "not-running", Severity: Error, Summary: "ctkeeper is enabled and does not run: nobody keeps the settings",
			Evidence: []Evidence{seen("/run/ctkeeper/ctkeeper.sock", 0, "no daemon answers")},
			Fix:      []string{"systemctl start ctkeeper"}, Note: "journalctl -u ctkeeper tells why it stopped.",
		}}},
		"not enabled": {&Host{Place: Place{Systemd: true, Installed: true, Running: &no}}, serviceState, []Finding{{
			ID: "not-enabled", Severity: Warning, Summary: "ctkeeper is not enabled and does not run: nobody keeps the settings", Fix: []string{"systemctl enable --now ctkeeper"},
			Evidence: []Evidence{seen("/etc/systemd/system", 0, "no target has a link to ctkeeper.service"), seen("/run/ctkeeper/ctkeeper.sock", 0, "no daemon answers")},
		}}},
		"not enabled, runs": {&Host{Place: Place{Systemd: true, Installed: true, Running: &yes}}, serviceState, []Finding{{
			ID: "not-enabled", Severity: Warning, Summary: "ctkeeper is not enabled: it does not start at boot", Fix: []string{"systemctl enable ctkeeper"},
			Evidence: []Evidence{seen("/etc/systemd/system", 0, "no target has a link to ctkeeper.service")},
		}}},
		"masked": {&Host{Place: Place{Systemd: true, Installed: true, Masked: true}}, serviceState, []Finding{{
			ID: "unit-masked", Severity: Warning, Summary: "ctkeeper's unit is masked: it cannot be started",
			Evidence: []Evidence{seen("/etc/systemd/system/ctkeeper.service", 0, "a link to /dev/null")},
			Fix:      []string{"systemctl unmask ctkeeper", "systemctl enable --now ctkeeper"},
		}}},
		"not installed": {&Host{Place: Place{Systemd: true}}, serviceState, []Finding{{
			ID: "not-installed", Severity: Warning, Summary: "ctkeeper's unit is not installed: nothing runs it after the next boot",
			Evidence: []Evidence{seen("/usr/lib/systemd/system/ctkeeper.service", 0, "not there, nor anywhere else that systemd looks")},
			Note:     "Install the package, or run make install in the source.",
		}}},
		"not installed, with the udev rule of persist": {
			&Host{Place: Place{Systemd: true}, Inventory: inventory.Inventory{PersistFiles: []string{"/etc/udev/rules.d/90-ctkeeper.rules"}}}, serviceState, []Finding{{
				ID: "not-installed", Severity: Info, Summary: "ctkeeper's unit is not installed: nothing runs it after the next boot",
				Evidence: []Evidence{
					seen("/usr/lib/systemd/system/ctkeeper.service", 0, "not there, nor anywhere else that systemd looks"),
					seen("/etc/udev/rules.d/90-ctkeeper.rules", 0, "sets the values whenever the module is loaded"),
				},
				Note: "Install the package, or run make install in the source.",
			}},
		},
		"no systemd": {&Host{Place: Place{Running: &no}}, serviceState, []Finding{{
			ID: "no-systemd", Severity: Info, Summary: "no systemd runs here that would run ctkeeper",
			Evidence: []Evidence{seen("/run/systemd/system", 0, "not there")},
			Note:     "Have the init system run \"ctkeeper run\", which stays in the foreground, or call \"ctkeeper apply\" once at boot and after each load of the module.",
		}}},
		"no systemd, runs all the same": {&Host{Place: Place{Running: &yes}}, serviceState, nil},
		"no configuration": {&Host{Config: &config.Config{Wants: asks(t, "max", "65536").Wants}}, configAbsent, []Finding{{
			ID: "config-default", Severity: Info, Summary: "there is no configuration: the embedded default holds",
			Evidence: []Evidence{seen("/etc/ctkeeper/ctkeeper.yaml", 0, "not there; the default asks for max 65536")},
			Note:     "ctkeeper import prints a configuration that says what this host has.",
		}}},
		"a configuration": {&Host{Config: asks(t)}, configAbsent, nil},
		"warned": {&Host{Config: &config.Config{Warnings: []string{"/etc/ctkeeper/conf.d/10-web.yml is not read"}}}, configWarned, []Finding{{
			ID: "config-warnings", Severity: Warning, Summary: "the configuration has parts that are not what they look like",
			Evidence: []Evidence{seen("/etc/ctkeeper/ctkeeper.yaml", 0, "/etc/ctkeeper/conf.d/10-web.yml is not read")},
			Note:     "ctkeeper config show has them beside the values that are in force.",
		}}},
		"refused by something else": {&Host{ConfigErr: errors.New("no such thing")}, configRefused, []Finding{{
			ID: "config-refused", Severity: Error, Summary: "the configuration is refused: ctkeeper does not start with it, or keeps the last good one",
			Evidence: []Evidence{seen("/etc/ctkeeper/ctkeeper.yaml", 0, "no such thing")},
			Note:     "ctkeeper config check says the same; run it again after each change.",
		}}},
		"the unit as it is": {&Host{}, unitOverridden, nil},
		"a harmless drop-in": {&Host{Place: Place{Overrides: []Evidence{seen("/"+dropInFile, 2, "MemoryMax=64M")}}}, unitOverridden, []Finding{{
			ID: "unit-overridden", Severity: Info, Summary: "ctkeeper's unit is changed by drop-ins", Evidence: []Evidence{seen("/"+dropInFile, 2, "MemoryMax=64M")},
		}}},
		"a harmful drop-in": {&Host{Place: Place{Overrides: []Evidence{
			seen("/"+dropInFile, 2, "MemoryMax=64M"), seen("/"+dropInFile, 3, "CapabilityBoundingSet="), seen("/"+dropInFile, 5, "PrivateNetwork=yes"),
		}}}, unitOverridden, []Finding{{
			ID: "unit-overridden", Severity: Warning,
			Summary: "ctkeeper's unit is changed so that it cannot work: the daemon does not get CAP_NET_ADMIN, and can write nothing; " +
				"the daemon is put into a namespace of its own, where the host's settings are out of reach",
			Evidence: []Evidence{seen("/"+dropInFile, 3, "CapabilityBoundingSet="), seen("/"+dropInFile, 5, "PrivateNetwork=yes")},
			Fix:      []string{"sed -i '3s/^/# /;5s/^/# /' /" + dropInFile, "systemctl daemon-reload", "systemctl restart ctkeeper"},
		}}},
		"a copy without the capability": {&Host{Place: Place{Overrides: []Evidence{seen("/"+ownUnit, 4, "User=ctkeeper")}}}, unitOverridden, []Finding{{
			ID: "unit-overridden", Severity: Warning,
			Summary:  "ctkeeper's unit is changed so that it cannot work: the daemon does not get CAP_NET_ADMIN, and can write nothing",
			Evidence: []Evidence{seen("/"+ownUnit, 0, "hides the installed unit")},
			Fix:      []string{"systemctl revert ctkeeper", "systemctl daemon-reload", "systemctl restart ctkeeper"},
			Note:     "systemctl revert takes away the copy and all drop-ins.",
		}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { wants(t, test.ask(test.host), test.want) })
	}
}

func TestConfigRefused(t *testing.T) {
	root := kerneltree.New(t)
	put(t, root, map[string]string{"etc/ctkeeper/ctkeeper.yaml": "settings:\n  maxx: 1\n  max: no\n"})
	got := configRefused(picture(t, root))
	if len(got) != 1 || len(got[0].Evidence) != 2 {
		t.Fatalf("got %+v", got)
	}
	for i, line := range []int{2, 3} {
		e := got[0].Evidence[i]
		if e.File != "/etc/ctkeeper/ctkeeper.yaml" || e.Line != line || e.Text == "" {
			t.Errorf("evidence %d is %+v", i, e)
		}
	}
}

// TestHarms: which overrides leave the daemon what it needs.
func TestHarms(t *testing.T) {
	const (
		noCapabilities = "the daemon does not get CAP_NET_ADMIN, and can write nothing"
		noWrite        = "/proc/sys/net is read-only for the daemon"
		namespaced     = "the daemon is put into a namespace of its own, where the host's settings are out of reach"
		noProc         = "files of /proc that the daemon needs are out of its reach"
	)
	tests := map[string]struct {
		copied bool
		lines  []string
		want   []string
	}{
		"nothing":                       {false, nil, nil},
		"limits":                        {false, []string{"MemoryMax=1G", "Environment=GOGC=50"}, nil},
		"root with all it had":          {false, []string{"User=root"}, nil},
		"another user":                  {false, []string{"User=nobody"}, nil},
		"no ambient set":                {false, []string{"AmbientCapabilities="}, []string{noCapabilities}},
		"no ambient set, root":          {false, []string{"AmbientCapabilities=", "User=root"}, nil},
		"more capabilities":             {false, []string{"CapabilityBoundingSet=CAP_BPF", "AmbientCapabilities=CAP_BPF"}, nil},
		"other capabilities":            {false, []string{"CapabilityBoundingSet=", "CapabilityBoundingSet=CAP_BPF"}, []string{noCapabilities}},
		"the capability taken":          {false, []string{"CapabilityBoundingSet=~CAP_NET_ADMIN CAP_SYS_ADMIN"}, []string{noCapabilities}},
		"another one taken":             {false, []string{"CapabilityBoundingSet=~CAP_SYS_ADMIN"}, nil},
		"all of them":                   {false, []string{"CapabilityBoundingSet=~"}, nil},
		"set anew":                      {false, []string{"CapabilityBoundingSet=", "CapabilityBoundingSet=cap_net_admin"}, nil},
		"no mount":                      {false, []string{"BindPaths="}, []string{noWrite}},
		"no mount, and no need of it":   {false, []string{"BindPaths=", "ProtectKernelTunables=no"}, nil},
		"another mount":                 {false, []string{"BindPaths=/srv"}, nil},
		"the mount set anew":            {false, []string{"BindPaths=", "BindPaths=/srv /proc/sys/net"}, nil},
		"its own network":               {false, []string{"PrivateNetwork=yes"}, []string{namespaced}},
		"not its own network":           {false, []string{"PrivateNetwork=no", "PrivateUsers=false"}, nil},
		"its own users":                 {false, []string{"PrivateUsers=self"}, []string{namespaced}},
		"a named network":               {false, []string{"NetworkNamespacePath=/run/netns/x"}, []string{namespaced}},
		"half of /proc":                 {false, []string{"ProcSubset=pid"}, []string{noProc}},
		"a read-only /proc/sys":         {false, []string{"ReadOnlyPaths=/srv -/proc/sys/"}, []string{noProc}},
		"a read-only /proc/sys/kernel":  {false, []string{"ReadOnlyPaths=/proc/sys/kernel"}, nil},
		"a copy as root":                {true, []string{"ExecStart=/usr/bin/ctkeeper run"}, nil},
		"a copy with its own user":      {true, []string{"User=ctkeeper"}, []string{noCapabilities}},
		"a copy with a dynamic user":    {true, []string{"DynamicUser=yes"}, []string{noCapabilities}},
		"a copy with all it needs":      {true, []string{"User=ctkeeper", "CapabilityBoundingSet=CAP_NET_ADMIN", "AmbientCapabilities=CAP_NET_ADMIN"}, nil},
		"a copy with a list without it": {true, []string{"CapabilityBoundingSet=CAP_BPF"}, []string{noCapabilities}},
		"a copy without the mount":      {true, []string{"ProtectKernelTunables=yes"}, []string{noWrite}},
		"something that is no line":     {false, []string{"cannot be read: is a directory"}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			file := "/" + dropInFile
			if test.copied {
				file = "/" + ownUnit
			}
			var overrides []Evidence
			for i, line := range test.lines {
				overrides = append(overrides, seen(file, i+1, line))
			}
			var got []string
			for _, harm := range harms(overrides) {
				got = append(got, harm.why)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("harms (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLookAtPlace(t *testing.T) {
	const plain = "22 27 0:21 / /proc rw,relatime - proc proc rw\n23 27 0:22 / /sys rw - sysfs sysfs rw\n27 1 254:0 / / ro - ext4 /dev/vda rw\n"
	tests := map[string]struct {
		files map[string]string
		links map[string]string
		want  Place
	}{
		"nothing": {},
		"a disk with the unit": {
			map[string]string{vendorUnit: "[Service]\nUser=ctkeeper\n", "usr/lib/systemd/systemd": ""},
			map[string]string{wantsLink: "/usr/lib/systemd/system/ctkeeper.service"},
			Place{Systemd: true, Installed: true, Enabled: true},
		},
		"merged /usr": {
			map[string]string{vendorUnit: "[Service]\n"}, map[string]string{"lib": "usr/lib"}, Place{Installed: true},
		},
		"masked": {
			map[string]string{vendorUnit: "[Service]\n"}, map[string]string{ownUnit: "/dev/null"}, Place{Installed: true, Masked: true},
		},
		"linked": {
			map[string]string{vendorUnit: "[Service]\n"}, map[string]string{ownUnit: "../../../usr/lib/systemd/system/ctkeeper.service"}, Place{Installed: true},
		},
		"installed in /etc by hand": {map[string]string{ownUnit: "[Service]\nUser=x\n"}, nil, Place{Installed: true}},
		"a copy": {
			map[string]string{vendorUnit: "[Service]\nUser=ctkeeper\n", ownUnit: "# mine\n[Service]\nUser=x\nExecStart=/usr/bin/ctkeeper \\\n# why not\n  run\n"}, nil,
			Place{Installed: true, Overrides: []Evidence{seen("/"+ownUnit, 3, "User=x"), seen("/"+ownUnit, 4, "ExecStart=/usr/bin/ctkeeper run")}},
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
			Place{Systemd: true, Installed: true, Overrides: []Evidence{
				seen("/usr/lib/systemd/system/service.d/10-all.conf", 2, "TimeoutStopFailureMode=abort"),
				seen("/run/systemd/system/ctkeeper.service.d/20-a.conf", 2, "Nice=5"), seen("/"+dropInFile, 3, "User=shown"),
				seen("/etc/systemd/system/ctkeeper.service.d/90-d.conf", 0, "cannot be read: is a directory"),
			}},
		},
		"a namespace of its own": {map[string]string{"proc/sys/net/netfilter/nf_conntrack_max": "65536\n"}, nil, Place{ChildNetns: true}},
		"the first namespace": {
			map[string]string{"proc/sys/net/netfilter/nf_conntrack_max": "65536\n", "proc/sys/net/nf_conntrack_max": "65536\n"}, nil, Place{},
		},
		"a read-only root": {map[string]string{"proc/self/mountinfo": plain}, nil, Place{}},
		"a container": {
			map[string]string{"proc/self/mountinfo": plain + "30 22 0:21 /sys /proc/sys ro,nosuid - proc proc rw\n31 23 0:22 / /sys ro - sysfs sysfs ro\nodd line\n", ".dockerenv": ""}, nil,
			Place{Container: seen("/.dockerenv", 0, "docker"), ReadOnly: []Evidence{
				seen(mountinfo, 4, "30 22 0:21 /sys /proc/sys ro,nosuid - proc proc rw"), seen(mountinfo, 5, "31 23 0:22 / /sys ro - sysfs sysfs ro"),
			}},
		},
		"systemd in a container": {
			map[string]string{"run/systemd/container": "systemd-nspawn\n", "run/systemd/system/x": ""}, nil,
			Place{Systemd: true, Container: seen("/run/systemd/container", 0, "systemd-nspawn")},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			put(t, root, test.files)
			for link, target := range test.links {
				symlink(t, root, link, target)
			}
			// The daemon of this host is not that of the tree.
			got := lookAtPlace(t.Context(), tree.At(root), Options{Root: root, Source: config.Source{Root: root}, Running: running})
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("place (-want +got):\n%s", diff)
			}
		})
	}
}

func TestConfigured(t *testing.T) {
	root := t.TempDir()
	put(t, root, map[string]string{"etc/ctkeeper/ctkeeper.yaml": "", "etc/ctkeeper/conf.d/50-a.yaml": "", "srv/own.yaml": ""})
	at := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	for name, changed := range map[string]time.Time{
		"etc/ctkeeper/ctkeeper.yaml": at.Add(-time.Hour), "etc/ctkeeper/conf.d/50-a.yaml": at, "srv/own.yaml": at.Add(time.Hour),
	} {
		if err := os.Chtimes(filepath.Join(root, name), changed, changed); err != nil {
			t.Fatal(err)
		}
	}
	for main, want := range map[string]time.Time{"": at, "/srv/own.yaml": at.Add(time.Hour), "/srv/none.yaml": {}} {
		if got := configured(tree.At(root), config.Source{Root: root, Main: main}); !got.Equal(want) {
			t.Errorf("%q: got %s, want %s", main, got, want)
		}
	}
}

// TestLookAtThisHost: the questions that only a running system answers are asked.
func TestLookAtThisHost(t *testing.T) {
	p := lookAtPlace(t.Context(), tree.At("/"), Options{Running: running})
	if p.Running == nil || !*p.Running {
		t.Error("the daemon was not asked")
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
		lines := unitLines(tree.At(root), "/"+dropInFile)
		for _, line := range lines {
			if line.Text == "" || line.Line < 1 {
				t.Errorf("an empty assignment: %+v", line)
			}
		}
		harms(lines)
	})
}

func FuzzReadOnly(f *testing.F) {
	f.Add("30 22 0:21 /sys /proc/sys ro,nosuid - proc proc rw\n")
	f.Add("1 2 3 4 / ro\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		root := t.TempDir()
		kerneltree.Put(t, root, "proc/self/mountinfo", text)
		for _, e := range readOnly(tree.At(root)) {
			if e.Text == "" || e.Line < 1 {
				t.Errorf("no mount: %+v", e)
			}
		}
	})
}

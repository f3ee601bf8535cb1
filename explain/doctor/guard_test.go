package doctor

import (
	"bytes"
	"compress/gzip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

const (
	unifiedMount = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate"
	legacyMount  = "33 24 0:29 / /sys/fs/cgroup/cpu rw,nosuid shared:9 - cgroup cgroup rw,cpu"
	builtConfig  = "# Linux\nCONFIG_SYSCTL=y\nCONFIG_BPF_SYSCALL=y\nCONFIG_CGROUP_BPF=y\n"
	shareFile    = "usr/share/ctkeeper/guard.conf"
	dropInDir    = "etc/systemd/system/ctkeeper.service.d/"
	shipped      = "[Service]\nCapabilityBoundingSet=CAP_NET_ADMIN CAP_BPF\nAmbientCapabilities=CAP_NET_ADMIN CAP_BPF\nSystemCallFilter=bpf\nLimitMEMLOCK=8M\n"
	perfmon      = "[Service]\nCapabilityBoundingSet=CAP_NET_ADMIN CAP_PERFMON\nAmbientCapabilities=CAP_NET_ADMIN CAP_PERFMON\n"
)

// guardTree is a host on which the guard can be had, by files that take the place of those of
// moduleTree; none where the content is empty.
func guardTree(t *testing.T, files map[string]string) *Host {
	t.Helper()
	root := moduleTree(t)
	all := map[string]string{
		"etc/ctkeeper/ctkeeper.yaml":     "settings: {max: 65536}\nguard: watch\n",
		"proc/self/mountinfo":            legacyMount + "\n" + unifiedMount + "\n",
		"proc/sys/kernel/cap_last_cap":   "40\n",
		"proc/1/status":                  "Name:\tsystemd\nCapBnd:\t000001ffffffffff\n",
		"boot/config-" + release:         builtConfig,
		"sys/kernel/security/lockdown":   "[none] integrity confidentiality\n",
		shareFile:                        shipped,
		vendorUnit:                       "[Service]\n",
		wantsLink:                        "",
		dropInDir + "guard.conf":         shipped,
		"etc/ctkeeper/conf.d/.keep":      "",
		"usr/share/ctkeeper/guard.other": "",
	}
	for name, content := range files {
		all[name] = content
		if content == "" {
			delete(all, name)
		}
	}
	put(t, root, all)
	return picture(t, root)
}

func TestGuard(t *testing.T) {
	watch := seen(mainFile, 2, "guard: watch")
	given := func(dir string, lines ...string) (all []Evidence) {
		for i, line := range lines {
			all = append(all, seen("/"+dropInDir+dir, i+2, line))
		}
		return all
	}
	bpf := given("guard.conf", "CapabilityBoundingSet=CAP_NET_ADMIN CAP_BPF", "AmbientCapabilities=CAP_NET_ADMIN CAP_BPF", "SystemCallFilter=bpf")
	tests := map[string]struct {
		files map[string]string
		want  []Finding
	}{
		"all is there": {},
		"off":          {map[string]string{"etc/ctkeeper/ctkeeper.yaml": "settings: {max: 65536}\n", "proc/self/mountinfo": legacyMount + "\n", dropInDir + "guard.conf": ""}, nil},
		"nothing is known": {map[string]string{
			"proc/self/mountinfo": "", "proc/sys/kernel/cap_last_cap": "", "proc/1/status": "", "boot/config-" + release: "", "sys/kernel/security/lockdown": "",
		}, nil},
		"version 1 alone": {map[string]string{"proc/self/mountinfo": legacyMount + "\n"}, []Finding{{
			ID: "guard-cgroup", Severity: Warning, Summary: "the guard cannot be had: control groups are mounted as version 1 alone",
			Evidence: []Evidence{watch, seen(mountinfo, 1, legacyMount)},
			Fix: []string{
				`grep -qxF 'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX systemd.unified_cgroup_hierarchy=1"' /etc/default/grub || ` +
					`echo 'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX systemd.unified_cgroup_hierarchy=1"' >> /etc/default/grub`,
				"update-grub", "systemctl reboot",
			},
			Note: "Container engines that know version 1 alone have to be updated before.",
		}}},
		"no control groups, in a container": {map[string]string{"proc/self/mountinfo": "1 0 0:1 / / rw - overlay overlay rw\n", ".dockerenv": "x"}, []Finding{{
			ID: "guard-cgroup", Severity: Warning, Summary: "the guard cannot be had: no cgroup v2 tree is mounted",
			Evidence: []Evidence{watch, seen(mountinfo, 0, "has no cgroup2"), seen("/.dockerenv", 0, "docker")},
			Note:     "Run ctkeeper on the host, or give its container the host's tree (docker run --cgroupns host -v /sys/fs/cgroup:/sys/fs/cgroup:ro).",
		}}},
		"an old kernel, for which the rest does not count": {map[string]string{
			"proc/sys/kernel/cap_last_cap": "37\n", "proc/self/mountinfo": legacyMount + "\n", dropInDir + "guard.conf": "", "proc/1/status": "CapBnd:\t0000003fffffffff\n",
		}, []Finding{{
			ID: "guard-kernel", Severity: Warning, Summary: "the guard cannot be had: this kernel has no CAP_BPF and no ring buffer, which came with Linux 5.8",
			Evidence: []Evidence{watch, seen(lastCap, 0, "37")},
			Note:     "ctkeeper keeps the settings without it. Boot another kernel, or take the line out of the configuration.",
		}}},
		"a kernel built without": {map[string]string{"boot/config-" + release: "CONFIG_SYSCTL=y\nCONFIG_BPF_SYSCALL=y\n# CONFIG_CGROUP_BPF is not set\n"}, []Finding{{
			ID: "guard-kernel", Severity: Warning, Summary: "the guard cannot be had: this kernel was built without BPF programs on control groups",
			Evidence: []Evidence{watch, seen("/boot/config-"+release, 3, "# CONFIG_CGROUP_BPF is not set")},
			Note:     "ctkeeper keeps the settings without it. Boot another kernel, or take the line out of the configuration.",
		}}},
		"no drop-in": {map[string]string{dropInDir + "guard.conf": ""}, []Finding{{
			ID: "guard-rights", Severity: Warning, Summary: "the guard cannot be had: ctkeeper's service does not have the rights for it",
			Evidence: []Evidence{watch, seen("/"+dropInDir+"guard.conf", 0, "not there")},
			Fix:      []string{"install -D -m 0644 -t /etc/systemd/system/ctkeeper.service.d /usr/share/ctkeeper/guard.conf", "systemctl daemon-reload", "systemctl restart ctkeeper"},
			Note:     "/usr/share/ctkeeper/guard.conf says what the rights are good for, and what they cost.",
		}}},
		"no drop-in, and none to install": {map[string]string{dropInDir + "guard.conf": "", shareFile: ""}, []Finding{{
			ID: "guard-rights", Severity: Warning, Summary: "the guard cannot be had: ctkeeper's service does not have the rights for it",
			Evidence: []Evidence{watch, seen("/"+shareFile, 0, "not there, nor in /usr/local")},
			Note:     "Install the package again, or run make install in the source: it brings the drop-in with the rights.",
		}}},
		"taken away again": {map[string]string{dropInDir + "hardening.conf": "[Service]\nSystemCallFilter=~@privileged\n"}, []Finding{{
			ID: "guard-rights", Severity: Warning, Summary: "the guard cannot be had: ctkeeper's service does not have the rights for it",
			Evidence: append(append([]Evidence{watch}, bpf...), seen("/"+dropInDir+"hardening.conf", 2, "SystemCallFilter=~@privileged")),
			Note:     "guard.conf gives the rights, and other lines take them away again.",
		}}},
		"rights that nobody may have": {map[string]string{"proc/1/status": "CapBnd:\t00000000a80425fb\n"}, []Finding{{
			ID: "guard-rights", Severity: Warning, Summary: "the guard cannot be had: nothing here may have CAP_BPF",
			Evidence: []Evidence{watch, seen(initStatus, 0, "CapBnd: without CAP_BPF")},
			Note:     "What runs this container took it away: give it back, or run ctkeeper on the host.",
		}}},
		"locked down": {map[string]string{"sys/kernel/security/lockdown": "none integrity [confidentiality]\n"}, []Finding{{
			ID: "guard-lockdown", Severity: Info, Summary: "the kernel is locked down: the guard cannot tell who loads the module, nor who writes hashsize through sysfs",
			Evidence: []Evidence{watch, seen(lockdown, 0, "none integrity [confidentiality]")},
			Note:     "guard-perfmon.conf is of use here only where the kernel tells no command of a writer without it; ctkeeper status says what is told.",
		}}},
		"locked down half": {map[string]string{"sys/kernel/security/lockdown": "none [integrity] confidentiality\n", dropInDir + "guard-perfmon.conf": perfmon}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { wants(t, ask(guardTree(t, test.files), guardChecks()), test.want) })
	}
}

// A word that is there already, and says the contrary, has to go.
func TestGuardCommandLine(t *testing.T) {
	h := guardTree(t, map[string]string{
		"proc/self/mountinfo": legacyMount + "\n", "proc/cmdline": "quiet systemd.unified_cgroup_hierarchy=0\n",
		"etc/default/grub": "GRUB_CMDLINE_LINUX=\"systemd.unified_cgroup_hierarchy=0\"\n",
	})
	f := find(t, ask(h, guardChecks()), "guard-cgroup")
	if !slices.Contains(f.Evidence, seen(cmdline, 0, "systemd.unified_cgroup_hierarchy=0")) {
		t.Errorf("evidence %+v", f.Evidence)
	}
	all := strings.Join(f.Fix, "\n")
	if !strings.Contains(all, "sed -i") || strings.Count(all, "update-grub") != 1 || f.Fix[len(f.Fix)-1] != "systemctl reboot" {
		t.Errorf("fix:\n%s", all)
	}
}

func TestGuardWithoutSystemd(t *testing.T) {
	h := &Host{Tree: tree.At(t.TempDir()), Config: &config.Config{Guard: config.Guard{Mode: config.GuardLock}}, BPF: BPF{Mounts: true}}
	f := find(t, ask(h, guardChecks()), "guard-cgroup")
	if len(f.Fix) > 0 || !strings.Contains(f.Note, "OpenRC") {
		t.Errorf("got %+v", f)
	}
	h.Offline = true
	wants(t, ask(h, guardChecks()), nil)
}

// locked is a host whose configuration asks for max 1048576 and locks it.
func locked(t *testing.T, assignments ...inventory.Assignment) *Host {
	t.Helper()
	h := owned(t, assignments...)
	h.Config.Guard.Mode = config.GuardLock
	h.Config.Origins = map[string]string{"guard.mode": mainFile + ":8"}
	return h
}

// proxyMax is kube-proxy's max.
func proxyMax(value string) inventory.Assignment {
	return inventory.Assignment{
		Place: tree.Place{File: "/var/lib/kube-proxy/config.conf", Line: 12}, Name: "max", Key: "conntrack.maxPerCore", Value: value,
		Tool: "kube-proxy", Phase: inventory.AtServiceStart,
	}
}

func TestLockBreaks(t *testing.T) {
	pod := Finding{
		ID: "guard-lock-owner", Severity: Warning,
		Summary: "with guard: lock kube-proxy does not start: it sets nf_conntrack_max to 131072, ctkeeper wants 1048576, and it ends when it may not",
		Evidence: []Evidence{
			seen(mainFile, 8, "guard: lock"), seen("/var/lib/kube-proxy/config.conf", 12, "conntrack.maxPerCore = 131072"), seen(mainFile, 3, "max: 1048576"),
		},
		Note: "Have it leave the limit alone: conntrack.maxPerCore: 0 in its configuration, or --conntrack-max-per-core=0; " +
			"of a pod in the ConfigMap kube-proxy of kube-system, then restart its pods. Or let all pods write: guard.allow: [kubepods.slice].",
	}
	unit := pod
	unit.Fix = []string{
		`mkdir -p /etc/ctkeeper/conf.d && printf '%s\n' 'guard:' '  allow: [sshd.service, kube-proxy.service]' > /etc/ctkeeper/conf.d/90-x_guard.yaml`,
		"systemctl reload-or-restart ctkeeper",
	}
	unit.Note = "Then it writes its value when it starts, and ctkeeper writes it back. " +
		"Or better: have it leave the limit alone: conntrack.maxPerCore: 0 in its configuration, or --conntrack-max-per-core=0."
	withUnit := func(h *Host) *Host {
		put(t, h.Tree.Root(), map[string]string{"etc/systemd/system/kube-proxy.service": "[Service]\n"})
		return h
	}
	allowing := func(h *Host, units ...string) *Host {
		h.Config.Guard.Allow, h.Config.Origins["guard.allow"] = units, "/etc/ctkeeper/conf.d/90-x.yaml:3"
		return h
	}
	hashsizes := proxyMax("8192")
	hashsizes.Name, hashsizes.Key = hashsize, "conntrack.maxPerCore"
	k3s := proxyMax("131072")
	k3s.Tool = "k3s"
	watching := locked(t, proxyMax("131072"))
	watching.Config.Guard.Mode = config.GuardWatch
	observing := locked(t, proxyMax("131072"))
	observing.Config.Mode = config.Observe
	for name, test := range map[string]struct {
		host *Host
		want []Finding
	}{
		"a pod":                        {locked(t, proxyMax("131072")), []Finding{pod}},
		"a unit":                       {withUnit(allowing(locked(t, proxyMax("131072")), "sshd.service")), []Finding{unit}},
		"a unit that is allowed":       {withUnit(allowing(locked(t, proxyMax("131072")), "kube-proxy.service")), nil},
		"a pod where the unit is":      {allowing(locked(t, proxyMax("131072")), "kubepods.slice"), nil},
		"the value that is wanted":     {locked(t, proxyMax("1048576")), nil},
		"hashsize, through sysfs":      {locked(t, hashsizes), nil},
		"one that bears it":            {locked(t, k3s, sysctl(siteConf, 1, netMax, "65536")), nil},
		"a guard that watches":         {watching, nil},
		"a daemon that only observes":  {observing, nil},
		"a configuration that is none": {&Host{}, nil},
	} {
		t.Run(name, func(t *testing.T) { wants(t, lockBreaks(test.host), test.want) })
	}
	f := find(t, otherOwners(locked(t, sysctl(siteConf, 1, netMax, "65536"))), "other-owner")
	if want := "ctkeeper's guard refuses it while the daemon runs"; !strings.Contains(f.Summary, want) {
		t.Errorf("no %q in %q", want, f.Summary)
	}
}

// TestAllowWorks has the shell write the drop-in, and the configuration read it.
func TestAllowWorks(t *testing.T) {
	root := t.TempDir()
	put(t, root, map[string]string{"etc/ctkeeper/ctkeeper.yaml": "settings: {max: 65536}\nguard: {mode: lock, allow: ['dev-disk-by\\x2dlabel-x.swap', 'getty@tty1.service']}\n"})
	load := func() *config.Config {
		c, err := config.Source{Root: root, Main: config.DefaultMain}.Load()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	h := &Host{Tree: tree.At(root), Config: load()}
	runBelow(t, root, h.allow(kubeProxyUnit))
	want := config.Guard{Mode: config.GuardLock, Allow: []string{`dev-disk-by\x2dlabel-x.swap`, "getty@tty1.service", kubeProxyUnit}}
	if diff := cmp.Diff(want, load().Guard); diff != "" {
		t.Errorf("guard (-want +got):\n%s", diff)
	}
}

func TestGuardUnit(t *testing.T) {
	const file = "/" + dropInDir + "x.conf"
	has := func(file string, lines ...string) (bpf, perfmon, call bool) {
		var all []Evidence
		for i, line := range lines {
			all = append(all, seen(file, i+1, line))
		}
		r := guardRights(all)
		return r.has(capBPF), r.has(capPerfmon), r.call
	}
	for name, test := range map[string]struct {
		file  string
		lines []string
		want  [3]bool // CAP_BPF, CAP_PERFMON, the system call
	}{
		"as it is":                 {file, nil, [3]bool{}},
		"both drop-ins":            {file, strings.Split(perfmon+shipped, "\n"), [3]bool{true, true, true}},
		"the ambient set alone":    {file, []string{"AmbientCapabilities=CAP_BPF"}, [3]bool{}},
		"root":                     {file, []string{"User=root", "CapabilityBoundingSet=~"}, [3]bool{true, true, false}},
		"all of a kind":            {file, []string{"SystemCallFilter=@privileged:EPERM"}, [3]bool{false, false, true}},
		"no filter":                {file, []string{"SystemCallFilter="}, [3]bool{false, false, true}},
		"set anew":                 {file, []string{"SystemCallFilter=", "SystemCallFilter=@system-service"}, [3]bool{}},
		"set anew, by what is not": {file, []string{"SystemCallFilter=", "SystemCallFilter=~@mount", "SystemCallFilter=@basic-io"}, [3]bool{false, false, true}},
		"taken":                    {file, []string{"SystemCallFilter=bpf", "SystemCallFilter=~bpf"}, [3]bool{}},
		"a copy as root":           {"/" + ownUnit, []string{"ExecStart=/usr/bin/ctkeeper run"}, [3]bool{true, true, true}},
		"a copy with a user":       {"/" + ownUnit, []string{"User=ctkeeper", "AmbientCapabilities=CAP_BPF"}, [3]bool{true, false, true}},
		"a copy with a list":       {"/" + ownUnit, []string{"CapabilityBoundingSet=CAP_NET_ADMIN"}, [3]bool{false, false, true}},
	} {
		t.Run(name, func(t *testing.T) {
			var got [3]bool
			got[0], got[1], got[2] = has(test.file, test.lines...)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("rights (-want +got):\n%s", diff)
			}
		})
	}
}

// zip packs a text as /proc/config.gz is.
func zip(t testing.TB, text string) string {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestKernelConfig(t *testing.T) {
	const unset = "CONFIG_SYSCTL=y\nCONFIG_CGROUP_BPF=y\n"
	for name, test := range map[string]struct {
		files map[string]string
		want  []Evidence
	}{
		"none":             {nil, nil},
		"built":            {map[string]string{"proc/config.gz": zip(t, builtConfig)}, nil},
		"the kernel's own": {map[string]string{"proc/config.gz": zip(t, unset), "boot/config-" + release: builtConfig}, []Evidence{seen(runningConf, 0, "does not have CONFIG_BPF_SYSCALL")}},
		"Fedora's place":   {map[string]string{"lib/modules/" + release + "/config": unset}, []Evidence{seen("/lib/modules/"+release+"/config", 0, "does not have CONFIG_BPF_SYSCALL")}},
		"damaged":          {map[string]string{"proc/config.gz": zip(t, unset)[:20]}, nil},
		"too large":        {map[string]string{"proc/config.gz": zip(t, unset+strings.Repeat("#", maxKernelConfig))}, nil},
		"something else":   {map[string]string{"boot/config-" + release: "nothing to see\n"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			put(t, root, test.files)
			if diff := cmp.Diff(test.want, lookAtBPF(tree.At(root), release).NotBuilt); diff != "" {
				t.Errorf("not built (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzGuardLook: whatever stands in the files, evidence is a line of theirs.
func FuzzGuardLook(f *testing.F) {
	f.Add(legacyMount+"\n"+unifiedMount, "CapBnd:\t000001ffffffffff\n", builtConfig)
	f.Add(" - cgroup2", "CapBnd:\n", "CONFIG_SYSCTL=y\n# CONFIG_CGROUP_BPF is not set")
	f.Fuzz(func(t *testing.T, mounts, status, text string) {
		unified, legacy := cgroupMounts(mounts)
		for _, e := range []Evidence{unified, legacy} {
			lines := strings.Split(mounts, "\n")
			if e.Text != "" && (e.Line < 1 || e.Line > len(lines) || strings.TrimSpace(lines[e.Line-1]) != e.Text) {
				t.Errorf("%+v is no line of %q", e, mounts)
			}
		}
		if set := boundingSet(status); set != nil && !strings.Contains(status, "CapBnd:") {
			t.Errorf("%x is no set of %q", *set, status)
		}
		if missing := notBuilt("x", text); len(missing) > 2 {
			t.Errorf("not built: %+v", missing)
		}
		unzip([]byte(text))
	})
}

package guard

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/host/change"
	"github.com/ctkeeper/ctkeeper/host/mountinfo"
	"github.com/ctkeeper/ctkeeper/internal/doctortest"
)

const unifiedMount = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate"

const legacyMount = "33 24 0:29 / /sys/fs/cgroup/cpu rw,nosuid shared:9 - cgroup cgroup rw,cpu"

const builtConfig = "# Linux\nCONFIG_SYSCTL=y\nCONFIG_BPF_SYSCALL=y\nCONFIG_CGROUP_BPF=y\n"

const dropInDir = "etc/systemd/system/ctkeeper.service.d/"

const shipped = "[Service]\nCapabilityBoundingSet=CAP_NET_ADMIN CAP_BPF\nAmbientCapabilities=CAP_NET_ADMIN " +
	"CAP_BPF\nSystemCallFilter=bpf\nLimitMEMLOCK=8M\n"

const perfmon = "[Service]\nCapabilityBoundingSet=CAP_NET_ADMIN CAP_PERFMON\nAmbientCapabilities=CAP_NET_ADMIN " +
	"CAP_PERFMON\n"

// guardTree is a host on which the guard can be had, by files that take the place of those of
// moduleTree; none where the content is empty.
func guardTree(t *testing.T, files map[string]string) *picture.Host {
	t.Helper()
	root := doctortest.ModuleTree(t)
	all := map[string]string{
		"etc/ctkeeper/ctkeeper.yaml":        "settings: {max: 65536}\nguard: watch\n",
		"proc/self/mountinfo":               legacyMount + "\n" + unifiedMount + "\n",
		"proc/sys/kernel/cap_last_cap":      "40\n",
		"proc/1/status":                     "Name:\tsystemd\nCapBnd:\t000001ffffffffff\n",
		"boot/config-" + doctortest.Release: builtConfig,
		"sys/kernel/security/lockdown":      "[none] integrity confidentiality\n",
		doctortest.VendorUnit:               "[Service]\n",
		doctortest.WantsLink:                "",
		dropInDir + "guard.conf":            shipped,
		"etc/ctkeeper/conf.d/.keep":         "",
	}
	for name, content := range files {
		all[name] = content
		if content == "" {
			delete(all, name)
		}
	}
	doctortest.Put(t, root, all)
	return doctortest.Take(t, root)
}

var watch = finding.Seen(doctortest.MainFile, 2, "guard: watch")
var given = func(dir string, lines ...string) (all []finding.Evidence) {
	for i, line := range lines {
		all = append(all, finding.Seen("/"+dropInDir+dir, i+2, line))
	}
	return all
}
var bpf = given("guard.conf", "CapabilityBoundingSet=CAP_NET_ADMIN CAP_BPF",
	"AmbientCapabilities=CAP_NET_ADMIN CAP_BPF", "SystemCallFilter=bpf")

// unifiedLine is the line that the fix adds to /etc/default/grub.
const unifiedLine = `GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX systemd.unified_cgroup_hierarchy=1"`

var guardTests = map[string]struct {
	files map[string]string
	want  []finding.Finding
}{
	"all is there": {},
	"off": {map[string]string{"etc/ctkeeper/ctkeeper.yaml": "settings: {max: 65536}\n",
		"proc/self/mountinfo": legacyMount + "\n", dropInDir + "guard.conf": ""}, nil},
	"nothing is known": {map[string]string{
		"proc/self/mountinfo": "", "proc/sys/kernel/cap_last_cap": "", "proc/1/status": "", "boot/config-" +
			doctortest.Release: "", "sys/kernel/security/lockdown": "",
	}, nil},
	"version 1 alone": {map[string]string{"proc/self/mountinfo": legacyMount + "\n"}, []finding.Finding{{
		ID: "guard-cgroup", Severity: finding.Warning, Summary: "the guard cannot run: only cgroup v1 is mounted",
		Evidence: []finding.Evidence{watch, finding.Seen(mountinfo.File, 1, legacyMount)},
		Fix: append([]finding.Step{doctortest.Edit("/etc/default/grub", 2, "", unifiedLine)},
			doctortest.Commands("update-grub", "systemctl reboot")...),
		Note: "The kernel needs the argument systemd.unified_cgroup_hierarchy=1. " +
			"Update container engines that support only cgroup v1 first.",
	}}},
	"no control groups, in a container": {map[string]string{"proc/self/mountinfo": "1 0 0:1 / / rw - overlay " +
		"overlay rw\n", ".dockerenv": "x"}, []finding.Finding{{
		ID: "guard-cgroup", Severity: finding.Warning, Summary: "the guard cannot run: no cgroup v2 tree is " +
			"mounted",
		Evidence: []finding.Evidence{watch, finding.Seen(mountinfo.File, 0, "has no cgroup2"),
			finding.Seen("/.dockerenv", 0, "docker")},
		Note: "Run ctkeeper on the host, or give its container the host's tree (docker run --cgroupns host " +
			"-v /sys/fs/cgroup:/sys/fs/cgroup:ro).",
	}}},
	"an old kernel, for which the rest does not count": {map[string]string{
		"proc/sys/kernel/cap_last_cap": "37\n", "proc/self/mountinfo": legacyMount + "\n", dropInDir +
			"guard.conf": "", "proc/1/status": "CapBnd:\t0000003fffffffff\n",
	}, []finding.Finding{{
		ID: "guard-kernel", Severity: finding.Warning, Summary: "the guard cannot run: this kernel has no " +
			"CAP_BPF and no BPF ring buffer, which came with Linux 5.8",
		Evidence: []finding.Evidence{watch, finding.Seen(picture.LastCapFile, 0, "37")},
		Note: "ctkeeper enforces the settings without the guard. Boot another kernel, or remove the line " +
			"from the configuration.",
	}}},
	"a kernel built without": {map[string]string{"boot/config-" +
		doctortest.Release: "CONFIG_SYSCTL=y\nCONFIG_BPF_SYSCALL=y\n# CONFIG_CGROUP_BPF is not " +
		"set\n"}, []finding.Finding{{
		ID: "guard-kernel", Severity: finding.Warning, Summary: "the guard cannot run: this kernel was built " +
			"without BPF programs on control groups",
		Evidence: []finding.Evidence{watch, finding.Seen("/boot/config-"+doctortest.Release, 3,
			"# CONFIG_CGROUP_BPF is not set")},
		Note: "ctkeeper enforces the settings without the guard. Boot another kernel, or remove the line " +
			"from the configuration.",
	}}},
	"no drop-in": {map[string]string{dropInDir + "guard.conf": ""}, []finding.Finding{{
		ID: "guard-rights", Severity: finding.Warning, Summary: "the guard cannot run: ctkeeper's service does " +
			"not have the privileges for it",
		Evidence: []finding.Evidence{watch, finding.Seen("/"+dropInDir+"guard.conf", 0, "does not exist")},
		Fix:      doctortest.Commands("ctkeeper guard on"),
		Note:     "It writes that file, which explains what the privileges are for, and what they cost.",
	}}},
	"taken away again": {map[string]string{dropInDir +
		"hardening.conf": "[Service]\nSystemCallFilter=~@privileged\n"}, []finding.Finding{{
		ID: "guard-rights", Severity: finding.Warning, Summary: "the guard cannot run: ctkeeper's service does " +
			"not have the privileges for it",
		Evidence: append(append([]finding.Evidence{watch}, bpf...), finding.Seen("/"+dropInDir+"hardening.conf",
			2, "SystemCallFilter=~@privileged")),
		Note: "guard.conf grants the privileges, and other lines remove them again.",
	}}},
	"rights that nobody may have": {map[string]string{"proc/1/status": "CapBnd:\t00000000a80425fb\n"},
		[]finding.Finding{{
			ID: "guard-rights", Severity: finding.Warning, Summary: "the guard cannot run: nothing here can have " +
				"CAP_BPF",
			Evidence: []finding.Evidence{watch, finding.Seen(picture.InitStatusFile, 0, "CapBnd: without CAP_BPF")},
			Note:     "The container's manager removed it: add it again, or run ctkeeper on the host.",
		}}},
	"locked down": {map[string]string{"sys/kernel/security/lockdown": "none integrity [confidentiality]\n"},
		[]finding.Finding{{
			ID: "guard-lockdown", Severity: finding.Info, Summary: "the kernel is locked down: the guard cannot " +
				"report who loads the module, nor who writes hashsize through sysfs",
			Evidence: []finding.Evidence{watch, finding.Seen(picture.LockdownFile, 0,
				"none integrity [confidentiality]")},
			Note: "guard-perfmon.conf helps here only where the kernel does not report a writer's command " +
				"without it; ctkeeper status shows what the guard can report.",
		}}},
	"locked down half": {map[string]string{"sys/kernel/security/lockdown": "none [integrity] confidentiality\n",
		dropInDir + "guard-perfmon.conf": perfmon}, nil},
}

func TestGuard(t *testing.T) {
	for name, test := range guardTests {
		t.Run(name, func(t *testing.T) {
			doctortest.Check(t, Check(guardTree(t, test.files)), test.want)
		})
	}
}

// A word that is there already, and says the contrary, has to go.
func TestGuardCommandLine(t *testing.T) {
	h := guardTree(t, map[string]string{
		"proc/self/mountinfo": legacyMount + "\n", "proc/cmdline": "quiet systemd.unified_cgroup_hierarchy=0\n",
		"etc/default/grub": "GRUB_CMDLINE_LINUX=\"systemd.unified_cgroup_hierarchy=0\"\n",
	})
	f := doctortest.Find(t, Check(h), "guard-cgroup")
	if !slices.Contains(f.Evidence, finding.Seen(picture.CommandLineFile, 0, "systemd.unified_cgroup_hierarchy=0")) {
		t.Errorf("evidence %+v", f.Evidence)
	}
	want := append([]finding.Step{
		doctortest.Edit("/etc/default/grub", 1, `GRUB_CMDLINE_LINUX="systemd.unified_cgroup_hierarchy=0"`,
			`GRUB_CMDLINE_LINUX=""`),
		doctortest.Edit("/etc/default/grub", 2, "", unifiedLine),
	}, doctortest.Commands("update-grub", "systemctl reboot")...)
	if diff := cmp.Diff(want, f.Fix); diff != "" {
		t.Errorf("fix (-want +got):\n%s", diff)
	}
}

const (
	strictFile = "proc/sys/kernel/sysctl_writes_strict"
	looseLine  = "kernel.sysctl_writes_strict = 0"
)

var strictTests = map[string]struct {
	config string // what follows the settings
	files  map[string]string
	want   string // the summary; "" without a finding
	fix    []finding.Step
}{
	"strict":               {"guard: hold", map[string]string{strictFile: "1\n"}, "", nil},
	"not known":            {"guard: hold", nil, "", nil},
	"a lock does not care": {"guard: lock", map[string]string{strictFile: "0\n"}, "", nil},
	"mode observe does not": {"guard: hold\nenforcement: {mode: observe}",
		map[string]string{strictFile: "0\n"}, "", nil},
	"set to the default": {"guard: hold", map[string]string{strictFile: "1\n",
		"etc/sysctl.d/1.conf": looseLine + "\n", "etc/sysctl.d/2.conf": "kernel.sysctl_writes_strict=1\n"}, "", nil},
	"by a program": {"guard: hold", map[string]string{strictFile: "-1\n"},
		"guard: hold only watches: kernel.sysctl_writes_strict is -1, and hold needs 1",
		[]finding.Step{change.WriteFile("/"+strictFile, "1")}},
	"by a file": {"guard: hold", map[string]string{strictFile: "0\n", "etc/sysctl.d/1.conf": looseLine + "\n"},
		"guard: hold only watches: kernel.sysctl_writes_strict is 0, and hold needs 1",
		[]finding.Step{doctortest.Edit("/etc/sysctl.d/1.conf", 1, looseLine, "# "+looseLine),
			change.WriteFile("/"+strictFile, "1")}},
	"after the next boot": {"guard: hold", map[string]string{strictFile: "1\n",
		"etc/sysctl.d/1.conf": looseLine + "\n"},
		"guard: hold will only watch after the next boot: kernel.sysctl_writes_strict will not be 1",
		[]finding.Step{doctortest.Edit("/etc/sysctl.d/1.conf", 1, looseLine, "# "+looseLine)}},
}

func TestHoldNeedsStrictWrites(t *testing.T) {
	for name, test := range strictTests {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{"etc/ctkeeper/ctkeeper.yaml": "settings: {max: 65536}\n" + test.config + "\n"}
			maps.Copy(files, test.files)
			got := Check(guardTree(t, files))
			if test.want == "" {
				doctortest.Check(t, got, nil)
				return
			}
			f := doctortest.Find(t, got, "guard-hold-strict")
			if f.Summary != test.want {
				t.Errorf("%q, want %q", f.Summary, test.want)
			}
			if diff := cmp.Diff(test.fix, f.Fix); diff != "" {
				t.Errorf("fix (-want +got):\n%s", diff)
			}
			if len(f.Evidence) < 2 || f.Evidence[0] != finding.Seen(doctortest.MainFile, 2, "guard: hold") {
				t.Errorf("evidence %+v", f.Evidence)
			}
		})
	}
}

func TestGuardWithoutSystemd(t *testing.T) {
	h := &picture.Host{Config: &config.Config{Guard: config.Guard{Mode: config.GuardLock}},
		BPF: picture.BPF{MountsRead: true}}
	f := doctortest.Find(t, Check(h), "guard-cgroup")
	if len(f.Fix) > 0 || !strings.Contains(f.Note, "OpenRC") {
		t.Errorf("got %+v", f)
	}
	h.Offline = true
	doctortest.Check(t, Check(h), nil)
}

func TestGuardUnit(t *testing.T) {
	const file = "/" + dropInDir + "x.conf"
	has := func(file string, lines ...string) (bpf, perfmon, call bool) {
		var all []finding.Evidence
		for i, line := range lines {
			all = append(all, finding.Seen(file, i+1, line))
		}
		p := readPrivileges(all)
		return p.capabilities.Has(capBPF), p.capabilities.Has("CAP_PERFMON"), p.hasCall
	}
	for name, test := range map[string]struct {
		file  string
		lines []string
		want  [3]bool // CAP_BPF, CAP_PERFMON, the system call
	}{
		"as it is":              {file, nil, [3]bool{}},
		"both drop-ins":         {file, strings.Split(perfmon+shipped, "\n"), [3]bool{true, true, true}},
		"the ambient set alone": {file, []string{"AmbientCapabilities=CAP_BPF"}, [3]bool{}},
		"root": {file, []string{"User=root", "CapabilityBoundingSet=~"}, [3]bool{true, true,
			false}},
		"all of a kind": {file, []string{"SystemCallFilter=@privileged:EPERM"}, [3]bool{false, false, true}},
		"no filter":     {file, []string{"SystemCallFilter="}, [3]bool{false, false, true}},
		"reset": {file, []string{"SystemCallFilter=", "SystemCallFilter=@system-service"},
			[3]bool{}},
		"reset, then a denied group": {file, []string{"SystemCallFilter=", "SystemCallFilter=~@mount",
			"SystemCallFilter=@basic-io"}, [3]bool{false, false, true}},
		"taken": {file, []string{"SystemCallFilter=bpf", "SystemCallFilter=~bpf"}, [3]bool{}},
		"a copy as root": {"/" + doctortest.OwnUnit, []string{"ExecStart=/usr/bin/ctkeeper run"},
			[3]bool{true, true, true}},
		"a copy with a user": {"/" + doctortest.OwnUnit, []string{"User=ctkeeper",
			"AmbientCapabilities=CAP_BPF"}, [3]bool{true, false, true}},
		"a copy with a list": {"/" + doctortest.OwnUnit, []string{"CapabilityBoundingSet=CAP_NET_ADMIN"},
			[3]bool{false, false, true}},
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

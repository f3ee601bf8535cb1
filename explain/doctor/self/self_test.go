package self

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/change"
	"github.com/ctkeeper/ctkeeper/host/distro"
	"github.com/ctkeeper/ctkeeper/host/mountinfo"
	"github.com/ctkeeper/ctkeeper/internal/doctortest"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
)

var yes, no = true, false
var docker = finding.Seen("/.dockerenv", 0, "docker")
var inDocker = distro.Distribution{Platform: distro.Platform{
	Container: "docker", Signs: []distro.Sign{{Place: docker.Place, Text: docker.Text}},
}}

// written is a configuration that somebody wrote.
var written = &config.Config{Files: []string{doctortest.MainFile}}

var selfTests = map[string]struct {
	host  *picture.Host
	check picture.Check
	want  []finding.Finding
}{
	"the rights of root": {&picture.Host{Env: picture.Environment{NetAdmin: true, Root: true}}, checkCapability,
		nil},
	"a disk": {&picture.Host{Root: "/mnt"}, checkCapability, nil},
	"not root": {&picture.Host{}, checkCapability, []finding.Finding{{
		ID: "no-capability", Severity: finding.Info, Summary: "doctor runs without CAP_NET_ADMIN and cannot read " +
			"everything: run it as root",
		Evidence: []finding.Evidence{finding.Seen("/proc/self/status", 0, "CapEff: without CAP_NET_ADMIN")},
	}}},
	"root of a container": {&picture.Host{Distro: inDocker, Env: picture.Environment{Root: true}},
		checkCapability, []finding.Finding{{
			ID: "no-capability", Severity: finding.Warning, Summary: "root has no CAP_NET_ADMIN here: ctkeeper " +
				"cannot set anything",
			Evidence: []finding.Evidence{finding.Seen("/proc/self/status", 0, "CapEff: without CAP_NET_ADMIN"),
				docker},
			Note: "The container or service in which this runs removed it: add it again (docker run --cap-add " +
				"NET_ADMIN), or run ctkeeper on the host.",
		}}},
	"the first namespace": {&picture.Host{}, checkNetns, nil},
	"another namespace": {&picture.Host{Env: picture.Environment{ChildNetns: true}}, checkNetns, []finding.Finding{{
		ID:       "child-netns",
		Severity: finding.Warning,
		Summary: "this is not the host's initial network namespace: " +
			"hashsize, max and expect_max cannot be set here",
		Evidence: []finding.Evidence{finding.Seen("/proc/sys/net/nf_conntrack_max", 0,
			"does not exist, as in every namespace but the first")},
		Note: "Run ctkeeper on the host, or with the host's network (docker run --network host, hostNetwork: " +
			"true). Each namespace has its own values of the other settings.",
	}}},
	"writable": {&picture.Host{}, checkReadOnly, nil},
	"read-only": {
		&picture.Host{
			Env: picture.Environment{
				ReadOnly: []finding.Evidence{
					finding.Seen(mountinfo.File, 7, "62 50 0:5 /sys /proc/sys ro - proc proc rw"),
				},
			},
			Distro: inDocker,
		},
		checkReadOnly,
		[]finding.Finding{{
			ID:       "read-only",
			Severity: finding.Warning,
			Summary: "/proc/sys is read-only here: ctkeeper cannot set " +
				"anything",
			Evidence: []finding.Evidence{finding.Seen(mountinfo.File, 7,
				"62 50 0:5 /sys /proc/sys ro - proc proc rw"), docker},
			Note: "Run ctkeeper on the host, or give its container the host's /proc/sys/net and use --path.procfs " +
				"(ctkeeper --help).",
		}},
	},
	"read-only /sys " +
		"alone": {
		&picture.Host{
			Env: picture.Environment{
				ReadOnly: []finding.Evidence{
					finding.Seen(mountinfo.File, 7, "62 50 0:5 / /sys ro - sysfs sysfs ro"),
				},
			},
		},
		checkReadOnly,
		[]finding.Finding{{
			ID: "read-only", Severity: finding.Info, Summary: "/sys is read-only: ctkeeper sets hashsize through " +
				"/proc/sys where the kernel allows it",
			Evidence: []finding.Evidence{finding.Seen(mountinfo.File, 7, "62 50 0:5 / /sys ro - sysfs sysfs ro")},
		}},
	},
	"runs": {&picture.Host{Env: picture.Environment{Systemd: true, Installed: true, Enabled: true,
		Running: &yes}}, checkService, nil},
	"a disk, all right": {&picture.Host{Root: "/mnt", Env: doctortest.Service()}, checkService, nil},
	"does not run": {&picture.Host{Env: picture.Environment{Systemd: true, Installed: true, Enabled: true,
		Running: &no}}, checkService, []finding.Finding{{
		ID: "not-running", Severity: finding.Error, Summary: "ctkeeper is enabled and does not run: nothing " +
			"enforces the settings",
		Evidence: []finding.Evidence{finding.Seen("/run/ctkeeper/ctkeeper.sock", 0, "no daemon answers")},
		Fix:      doctortest.Commands("systemctl start ctkeeper"), Note: "journalctl -u ctkeeper shows why it stopped.",
	}}},
	"not enabled": {&picture.Host{Env: picture.Environment{Systemd: true, Installed: true, Running: &no}},
		checkService, []finding.Finding{{
			ID: "not-enabled", Severity: finding.Warning, Summary: "ctkeeper is not enabled and does not run: " +
				"nothing enforces the settings", Fix: doctortest.Commands("systemctl enable --now ctkeeper"),
			Evidence: []finding.Evidence{finding.Seen("/etc/systemd/system", 0,
				"no target has a link to ctkeeper.service"), finding.Seen("/run/ctkeeper/ctkeeper.sock", 0, "no "+
				"daemon answers")},
		}}},
	"not enabled, runs": {&picture.Host{Env: picture.Environment{Systemd: true, Installed: true,
		Running: &yes}}, checkService, []finding.Finding{{
		ID: "not-enabled", Severity: finding.Warning, Summary: "ctkeeper is not enabled: it does not start at " +
			"boot", Fix: doctortest.Commands("systemctl enable ctkeeper"),
		Evidence: []finding.Evidence{finding.Seen("/etc/systemd/system", 0,
			"no target has a link to ctkeeper.service")},
	}}},
	"masked": {&picture.Host{Env: picture.Environment{Systemd: true, Installed: true, Masked: true}},
		checkService, []finding.Finding{{
			ID: "unit-masked", Severity: finding.Warning, Summary: "ctkeeper's unit is masked: it cannot be " +
				"started",
			Evidence: []finding.Evidence{finding.Seen("/etc/systemd/system/ctkeeper.service", 0,
				"a link to /dev/null")},
			Fix: doctortest.Commands("systemctl unmask ctkeeper", "systemctl enable --now ctkeeper"),
		}}},
	"not installed, nothing configured": {&picture.Host{Env: picture.Environment{Systemd: true}}, checkService,
		[]finding.Finding{{
			ID: "not-installed", Severity: finding.Info,
			Summary: "ctkeeper's unit is not installed: nothing runs it after the next boot",
			Evidence: []finding.Evidence{finding.Seen("/usr/lib/systemd/system/ctkeeper.service", 0,
				"does not exist, nor in any other unit directory")},
			Note: "Install the package, or run make install in the source.",
		}}},
	"not installed": {&picture.Host{Env: picture.Environment{Systemd: true}, Config: written}, checkService,
		[]finding.Finding{{
			ID: "not-installed", Severity: finding.Warning, Summary: "ctkeeper's unit is not installed: nothing runs " +
				"it after the next boot",
			Evidence: []finding.Evidence{finding.Seen("/usr/lib/systemd/system/ctkeeper.service", 0,
				"does not exist, nor in any other unit directory")},
			Note: "Install the package, or run make install in the source.",
		}}},
	"not installed, with the udev rule of persist": {
		&picture.Host{Env: picture.Environment{Systemd: true}, Config: written,
			Inventory: inventory.Inventory{PersistFiles: []string{"/etc/udev/rules.d/90-ctkeeper.rules"}}},
		checkService,
		[]finding.Finding{{
			ID: "not-installed", Severity: finding.Info, Summary: "ctkeeper's unit is not installed: nothing " +
				"runs it after the next boot",
			Evidence: []finding.Evidence{
				finding.Seen("/usr/lib/systemd/system/ctkeeper.service", 0,
					"does not exist, nor in any other unit directory"),
				finding.Seen("/etc/udev/rules.d/90-ctkeeper.rules", 0,
					"sets the values whenever the module is loaded"),
			},
			Note: "Install the package, or run make install in the source.",
		}},
	},
	"no systemd": {&picture.Host{Env: picture.Environment{Running: &no}}, checkService, []finding.Finding{{
		ID: "no-systemd", Severity: finding.Info, Summary: "no systemd runs here that could run ctkeeper",
		Evidence: []finding.Evidence{finding.Seen("/run/systemd/system", 0, "does not exist")},
		Note: "Let the init system run \"ctkeeper run\", which stays in the foreground, or run \"ctkeeper " +
			"apply\" at boot and after each load of the module.",
	}}},
	"no systemd, runs all the same": {&picture.Host{Env: picture.Environment{Running: &yes}}, checkService, nil},
	"no configuration": {&picture.Host{Config: &config.Config{UsesDefault: true, Desired: doctortest.Config("max",
		"65536").Desired}}, checkDefault, []finding.Finding{{
		ID: "config-default", Severity: finding.Info, Summary: "no settings are configured: the embedded default " +
			"is used",
		Evidence: []finding.Evidence{finding.Seen("/etc/ctkeeper/ctkeeper.yaml", 0,
			"does not exist; the default asks for max 65536")},
		Note: "ctkeeper import prints a configuration with the values that this host has.",
	}}},
	"a configuration": {&picture.Host{Config: doctortest.Config()}, checkDefault, nil},
	"warned": {&picture.Host{Config: &config.Config{Warnings: []string{"/etc/ctkeeper/conf.d/10-web.yml is not " +
		"read"}}}, checkWarnings, []finding.Finding{{
		ID: "config-warnings", Severity: finding.Warning, Summary: "parts of the configuration do not have the " +
			"effect that they seem to have",
		Evidence: []finding.Evidence{finding.Seen("/etc/ctkeeper/ctkeeper.yaml", 0,
			"/etc/ctkeeper/conf.d/10-web.yml is not read")},
		Note: "ctkeeper config show prints them together with the values that are in effect.",
	}}},
	"refused by something else": {&picture.Host{ConfigErr: errors.New("no such thing")}, checkConfig,
		[]finding.Finding{{
			ID: "config-refused", Severity: finding.Error, Summary: "the configuration is refused: ctkeeper does " +
				"not " +
				"start with it, or keeps the last good one",
			Evidence: []finding.Evidence{finding.Seen("/etc/ctkeeper/ctkeeper.yaml", 0, "no such thing")},
			Note:     "ctkeeper config check reports the same errors; run it again after each change.",
		}}},
	"the unit as it is": {&picture.Host{}, checkUnit, nil},
	"a harmless drop-in": {
		&picture.Host{
			Env: picture.Environment{
				Overrides: []finding.Evidence{finding.Seen("/"+doctortest.DropInFile, 2, "MemoryMax=64M")},
			},
		},
		checkUnit,
		[]finding.Finding{{
			ID: "unit-overridden", Severity: finding.Info, Summary: "drop-ins change ctkeeper's " +
				"unit", Evidence: []finding.Evidence{finding.Seen("/"+doctortest.DropInFile, 2, "MemoryMax=64M")},
		}},
	},
	"a harmful drop-in": {&picture.Host{Env: picture.Environment{Overrides: []finding.Evidence{
		finding.Seen("/"+doctortest.DropInFile, 2, "MemoryMax=64M"), finding.Seen("/"+doctortest.DropInFile, 3,
			"CapabilityBoundingSet="), finding.Seen("/"+doctortest.DropInFile, 5, "PrivateNetwork=yes"),
	}}}, checkUnit, []finding.Finding{{
		ID: "unit-overridden", Severity: finding.Warning,
		Summary: "ctkeeper's unit is changed so that it cannot work: the daemon does not get CAP_NET_ADMIN, and " +
			"cannot write anything; " +
			"the daemon runs in a namespace of its own, and cannot reach the host's settings",
		Evidence: []finding.Evidence{finding.Seen("/"+doctortest.DropInFile, 3, "CapabilityBoundingSet="),
			finding.Seen("/"+doctortest.DropInFile, 5, "PrivateNetwork=yes")},
		Fix: append([]finding.Step{
			change.Block("Edit /" + doctortest.DropInFile + ":3 by hand."),
			change.Block("Edit /" + doctortest.DropInFile + ":5 by hand."),
		}, doctortest.Commands("systemctl daemon-reload", "systemctl restart ctkeeper")...),
	}}},
	"a copy without the " +
		"capability": {
		&picture.Host{
			Env: picture.Environment{
				Overrides: []finding.Evidence{finding.Seen("/"+doctortest.OwnUnit, 4, "User=ctkeeper")},
			},
		},
		checkUnit,
		[]finding.Finding{{
			ID: "unit-overridden", Severity: finding.Warning,
			Summary: "ctkeeper's unit is changed so that it cannot work: " +
				"the daemon does not get CAP_NET_ADMIN, and " +
				"cannot write anything",
			Evidence: []finding.Evidence{finding.Seen("/"+doctortest.OwnUnit, 0, "hides the installed unit")},
			Fix: doctortest.Commands("systemctl revert ctkeeper", "systemctl daemon-reload",
				"systemctl restart ctkeeper"),
			Note: "systemctl revert removes the copy and all drop-ins.",
		}},
	},
}

func TestSelf(t *testing.T) {
	for name, test := range selfTests {
		t.Run(name, func(t *testing.T) { doctortest.Check(t, test.check(test.host), test.want) })
	}
}

func TestConfigRefused(t *testing.T) {
	root := kerneltree.New(t)
	doctortest.Put(t, root, map[string]string{"etc/ctkeeper/ctkeeper.yaml": "settings:\n  maxx: 1\n  max: no\n"})
	got := checkConfig(doctortest.Take(t, root))
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
		noCapabilities = "the daemon does not get CAP_NET_ADMIN, and cannot write anything"
		noWrite        = "/proc/sys/net is read-only for the daemon"
		namespaced     = "the daemon runs in a namespace of its own, and cannot reach the host's settings"
		noProc         = "the daemon cannot reach files of /proc that it needs"
	)
	tests := map[string]struct {
		copied bool
		lines  []string
		want   []string
	}{
		"nothing":              {false, nil, nil},
		"limits":               {false, []string{"MemoryMax=1G", "Environment=GOGC=50"}, nil},
		"root with all it had": {false, []string{"User=root"}, nil},
		"another user":         {false, []string{"User=nobody"}, nil},
		"no ambient set":       {false, []string{"AmbientCapabilities="}, []string{noCapabilities}},
		"no ambient set, root": {false, []string{"AmbientCapabilities=", "User=root"}, nil},
		"more capabilities": {false, []string{"CapabilityBoundingSet=CAP_BPF",
			"AmbientCapabilities=CAP_BPF"}, nil},
		"other capabilities": {false, []string{"CapabilityBoundingSet=",
			"CapabilityBoundingSet=CAP_BPF"}, []string{noCapabilities}},
		"the capability taken": {false, []string{"CapabilityBoundingSet=~CAP_NET_ADMIN CAP_SYS_ADMIN"},
			[]string{noCapabilities}},
		"another one taken": {false, []string{"CapabilityBoundingSet=~CAP_SYS_ADMIN"}, nil},
		"all of them":       {false, []string{"CapabilityBoundingSet=~"}, nil},
		"reset": {false, []string{"CapabilityBoundingSet=",
			"CapabilityBoundingSet=cap_net_admin"}, nil},
		"no mount":                     {false, []string{"BindPaths="}, []string{noWrite}},
		"no mount, and no need of it":  {false, []string{"BindPaths=", "ProtectKernelTunables=no"}, nil},
		"another mount":                {false, []string{"BindPaths=/srv"}, nil},
		"the mount set anew":           {false, []string{"BindPaths=", "BindPaths=/srv /proc/sys/net"}, nil},
		"its own network":              {false, []string{"PrivateNetwork=yes"}, []string{namespaced}},
		"not its own network":          {false, []string{"PrivateNetwork=no", "PrivateUsers=false"}, nil},
		"its own users":                {false, []string{"PrivateUsers=self"}, []string{namespaced}},
		"a named network":              {false, []string{"NetworkNamespacePath=/run/netns/x"}, []string{namespaced}},
		"half of /proc":                {false, []string{"ProcSubset=pid"}, []string{noProc}},
		"a read-only /proc/sys":        {false, []string{"ReadOnlyPaths=/srv -/proc/sys/"}, []string{noProc}},
		"a read-only /proc/sys/kernel": {false, []string{"ReadOnlyPaths=/proc/sys/kernel"}, nil},
		"a copy as root":               {true, []string{"ExecStart=/usr/bin/ctkeeper run"}, nil},
		"a copy with its own user":     {true, []string{"User=ctkeeper"}, []string{noCapabilities}},
		"a copy with a dynamic user":   {true, []string{"DynamicUser=yes"}, []string{noCapabilities}},
		"a copy with all it needs": {true, []string{"User=ctkeeper", "CapabilityBoundingSet=CAP_NET_ADMIN",
			"AmbientCapabilities=CAP_NET_ADMIN"}, nil},
		"a copy with a list without it": {true, []string{"CapabilityBoundingSet=CAP_BPF"}, []string{noCapabilities}},
		"a copy without the mount":      {true, []string{"ProtectKernelTunables=yes"}, []string{noWrite}},
		"evidence that is not a line":   {false, []string{"cannot be read: is a directory"}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			file := "/" + doctortest.DropInFile
			if test.copied {
				file = "/" + doctortest.OwnUnit
			}
			var overrides []finding.Evidence
			for i, line := range test.lines {
				overrides = append(overrides, finding.Seen(file, i+1, line))
			}
			var got []string
			for _, harm := range findHarms(overrides) {
				got = append(got, harm.reason)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("harms (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzFindHarms(f *testing.F) {
	f.Add("CapabilityBoundingSet=~")
	f.Add("BindPaths=")
	f.Fuzz(func(_ *testing.T, line string) {
		findHarms([]finding.Evidence{finding.Seen("/"+doctortest.DropInFile, 1, line)})
	})
}

//go:build guest

package scenarios

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// persisted has values that only boot files can apply.
const persisted = usual + `module:
  load: true
  parameters:
    expect_hashsize: 2048
`

// bootFiles returns the files that persist owns, by path.
func bootFiles(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, pattern := range []string{
		"/etc/modprobe.d/ctkeeper.conf", "/etc/modules-load.d/ctkeeper.conf",
		"/etc/udev/rules.d/*ctkeeper*", "/etc/sysctl.d/*ctkeeper*",
	} {
		paths, _ := filepath.Glob(pattern)
		for _, path := range paths {
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			found[path] = string(content)
		}
	}
	return found
}

// TestPersistedBoot: with the boot files that the unit wrote, the next boot has the wanted values before the daemon
// runs.
func TestPersistedBoot(t *testing.T) {
	startDaemon(t, persisted)
	waitApplied(t, prompt, usualValues)
	if len(bootFiles(t)) != 2 {
		t.Fatalf("the unit's start wrote %v", bootFiles(t))
	}
	run(t, "systemctl", "stop", unit)
	unload(t)
	run(t, "systemctl", "restart", "systemd-modules-load.service")
	for name, want := range map[string]string{"hashsize": "100352", "expect_hashsize": "2048"} {
		if got := parameter(t, name); got != want {
			t.Errorf("%s is %s without the daemon, want %s", name, got, want)
		}
	}
	if got := read("expect_max"); got != "8192" {
		t.Errorf("expect_max is %s without the daemon, want 8192", got)
	}
	run(t, "ctkeeper", "persist", "--remove")
	if left := bootFiles(t); len(left) != 0 {
		t.Errorf("persist --remove left %v", left)
	}
}

// TestPersistUdev: the udev rule applies the values on a host without a running daemon.
func TestPersistUdev(t *testing.T) {
	cleanHost(t)
	writeFile(t, mainFile, usual)
	run(t, "ctkeeper", "persist", "--udev")
	run(t, "udevadm", "control", "--reload")
	run(t, "modprobe", "nf_conntrack")
	waitApplied(t, prompt*2, usualValues)
}

// TestPersistReload: a reload writes a changed configuration to the boot files, but not a broken one.
func TestPersistReload(t *testing.T) {
	startDaemon(t, persisted)
	writeFile(t, mainFile, strings.Replace(persisted, "expect_hashsize: 2048", "expect_hashsize: 4096", 1))
	run(t, "systemctl", "reload", unit)
	before := bootFiles(t)
	if !strings.Contains(before["/etc/modprobe.d/ctkeeper.conf"], "expect_hashsize=4096") {
		t.Errorf("after the reload: %v", before)
	}
	writeFile(t, mainFile, "settings: {max: nonsense}\n")
	if _, code := try(t, "systemctl", "reload", unit); code == 0 {
		t.Error("a reload of a broken configuration succeeds")
	}
	if after := bootFiles(t); after["/etc/modprobe.d/ctkeeper.conf"] != before["/etc/modprobe.d/ctkeeper.conf"] {
		t.Errorf("a broken configuration changed the boot files: %v", after)
	}
}

// TestNeedsReload: only a new load of the module can change expect_hashsize. status and diff report that and the
// modules that hold it; nothing reloads it.
func TestNeedsReload(t *testing.T) {
	startWithModule(t)
	run(t, "iptables", "-A", "INPUT", "-m", "conntrack", "--ctstate", "NEW", "-j", "ACCEPT")
	writeFile(t, mainFile, persisted)
	run(t, "systemctl", "reload", unit)
	before := parameter(t, "expect_hashsize")
	for _, command := range []string{"status", "diff"} {
		doc, code := document(t, command)
		held := ""
		for _, p := range doc.Module.Parameters {
			if p.Name == "expect_hashsize" && p.Want == "2048" && p.Live == before && p.State == "reload" {
				held = strings.Join(p.HeldBy, " ")
			}
		}
		if code != 1 || !strings.Contains(held, "xt_conntrack") {
			t.Errorf("%s: exit status %d, held by %q: %+v", command, code, held, doc.Module.Parameters)
		}
	}
	if got := parameter(t, "expect_hashsize"); got != before {
		t.Errorf("expect_hashsize changed from %s to %s: the module was reloaded", before, got)
	}
}

// TestImport: the configuration that import writes has the values that the host's files set, so that nothing differs.
func TestImport(t *testing.T) {
	cleanHost(t)
	writeFile(t, modprobeD, "options nf_conntrack hashsize=10000 expect_hashsize=2000\n")
	writeFile(t, "/etc/sysctl.d/60-conntrack.conf", "net.netfilter.nf_conntrack_max = 120000\n"+
		"net.netfilter.nf_conntrack_tcp_timeout_established = 7200\n")
	writeFile(t, "/etc/sysctl.d/90-conntrack.conf", "net.nf_conntrack_max = 150000\n")
	run(t, "modprobe", "nf_conntrack")
	run(t, "systemctl", "restart", "systemd-sysctl.service")
	out := run(t, "ctkeeper", "import", "--write")
	t.Logf("%s", out)
	for _, text := range []string{
		"max: 150000", "/etc/sysctl.d/90-conntrack.conf:1", "/etc/sysctl.d/60-conntrack.conf:1",
		"hashsize: 10000", "expect_hashsize: 2000", "tcp_timeout_established: 7200",
	} {
		if !strings.Contains(out, text) {
			t.Errorf("import does not print %q", text)
		}
	}
	if out, code := try(t, "ctkeeper", "diff"); code != 0 {
		t.Errorf("diff after import: exit status %d\n%s", code, out)
	}
}

// TestPersistDropinsOfTheServicesUser: root's persist writes nothing that the daemon's user says. That user makes a
// conf.d of its own while root's is missing.
func TestPersistDropinsOfTheServicesUser(t *testing.T) {
	startDaemon(t, persisted)
	const dir = "/run/ctkeeper/conf.d"
	t.Cleanup(func() {
		run(t, "rm", "-r", dir)
		run(t, "systemd-tmpfiles", "--create", "ctkeeper.conf")
	})
	asService := func(script string) (string, int) {
		return try(t, "setpriv", "--reuid=ctkeeper", "--regid=ctkeeper", "--clear-groups", "sh", "-c", script)
	}
	if out, status := asService("mv " + dir + " " + dir + ".old || rm -r " + dir); status == 0 {
		t.Errorf("the service's user moved root's %s away: %s", dir, out)
	}
	run(t, "rm", "-r", dir)
	script := "mkdir -p " + dir + " && printf 'module: {parameters: {expect_hashsize: 512}}' > " + dir + "/99.yaml"
	if out, status := asService(script); status != 0 {
		t.Fatalf("the service's user cannot make its own %s: %s", dir, out)
	}
	before := bootFiles(t)
	run(t, "systemctl", "reload", unit)
	out, status := try(t, "ctkeeper", "persist")
	if status != 78 || !strings.Contains(out, "other than root can change") {
		t.Errorf("persist ends with %d: %s", status, out)
	}
	if after := bootFiles(t); !maps.Equal(before, after) {
		t.Errorf("the boot files are %v, want %v", after, before)
	}
}

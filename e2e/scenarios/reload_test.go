//go:build guest

package scenarios

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const broken = `settings:
  max: -5
  tcp_timeout_establishd: 1h
setings: {}
`

// TestBrokenReload: a broken configuration is refused whole, the last good one stays in effect, and systemctl,
// journal, STATUS and status report it.
func TestBrokenReload(t *testing.T) {
	since := startWithModule(t)
	writeFile(t, mainFile, broken)
	if _, code := try(t, "systemctl", "reload", unit); code == 0 {
		t.Error("systemctl reload of a broken configuration succeeded")
	}
	refused := since.wait(t, "config-refused")
	for _, what := range []string{mainFile + ":2:", "tcp_timeout_establishd", "tcp_timeout_established", "setings"} {
		if text := refused.get("MESSAGE") + refused.get("CTKEEPER_ERROR"); !strings.Contains(text, what) {
			t.Errorf("the refusal does not name %q: %s", what, text)
		}
	}
	eventually(t, prompt, "STATUS reports the refused configuration", func() bool {
		text := property(t, "StatusText")
		return strings.Contains(text, "refused") || strings.Contains(text, "configuration")
	})
	s, _ := document(t, "status")
	if s.Daemon.Config.OK || s.Daemon.Config.Error == "" {
		t.Errorf("status: config %+v", s.Daemon.Config)
	}
	if !isActive(t) {
		t.Fatal("the unit is no longer active")
	}
	write(t, sysctl("max"), "65536")
	waitApplied(t, prompt, usualValues)

	corrected := journalEnd(t)
	writeFile(t, mainFile, strings.Replace(usual, "300000", "310000", 1))
	run(t, "systemctl", "reload", unit)
	waitApplied(t, prompt, map[string]string{"max": "310000"})
	corrected.wait(t, "config-loaded")
	if s, _ := document(t, "status"); !s.Daemon.Config.OK {
		t.Errorf("status after the correction: config %+v", s.Daemon.Config)
	}
}

// TestBrokenStart: with a broken configuration the daemon ends with exit status 78, and systemd does not restart it.
func TestBrokenStart(t *testing.T) {
	since := cleanHost(t)
	writeFile(t, mainFile, broken)
	if _, code := try(t, "systemctl", "start", unit); code == 0 {
		t.Error("started")
	}
	time.Sleep(2 * time.Second)
	status, state, n := property(t, "ExecMainStatus"), property(t, "ActiveState"), property(t, "NRestarts")
	if status != "78" || state != "failed" || n != "0" {
		t.Errorf("exit status %s, %s, %s restarts; want 78, failed, 0", status, state, n)
	}
	since.wait(t, "config-refused")
}

func withMax(value string) string { return "settings:\n  max: " + value + "\n" }

// TestDropIns: the drop-ins of all three directories are sorted together. One in /etc hides one of the same name in
// /run, and that one in /usr/lib. A link to /dev/null masks.
func TestDropIns(t *testing.T) {
	startWithModule(t)
	reach := func(want string) {
		t.Helper()
		run(t, "systemctl", "reload", unit)
		waitApplied(t, prompt, map[string]string{"max": want})
	}
	writeFile(t, "/usr/lib/ctkeeper/conf.d/10-site.yaml", withMax("150000"))
	reach("150000")
	writeFile(t, "/run/ctkeeper/conf.d/10-site.yaml", withMax("160000"))
	reach("160000")
	writeFile(t, "/etc/ctkeeper/conf.d/10-site.yaml", withMax("170000"))
	reach("170000")
	writeFile(t, "/run/ctkeeper/conf.d/20-more.yaml", withMax("180000"))
	reach("180000")
	shown, code := runStdout(t, "ctkeeper", "config", "show")
	if code != 0 || !strings.Contains(shown, "/run/ctkeeper/conf.d/20-more.yaml:2") {
		t.Errorf("config show (exit status %d) does not have the origin of max:\n%s", code, shown)
	}
	maskFile(t, "/etc/ctkeeper/conf.d/20-more.yaml")
	reach("170000")
	maskFile(t, "/etc/ctkeeper/conf.d/10-site.yaml")
	reach("300000")
	if !isApplied(usualValues) {
		t.Error("the drop-ins changed more than max")
	}
}

// maskFile masks a drop-in.
func maskFile(t *testing.T, path string) {
	t.Helper()
	_ = os.Remove(path)
	if err := os.Symlink("/dev/null", path); err != nil {
		t.Fatal(err)
	}
}

// TestRemovedSetting: a setting that is removed from the configuration keeps its value, and ctkeeper no longer
// compares it.
func TestRemovedSetting(t *testing.T) {
	startWithModule(t)
	writeFile(t, mainFile, strings.Replace(usual, "  expect_max: 4096\n", "", 1))
	run(t, "systemctl", "reload", unit)
	if s, _ := document(t, "status"); settingOf(s, "expect_max").Name != "" {
		t.Error("status still shows expect_max")
	}
	if got := read("expect_max"); got != "4096" {
		t.Errorf("expect_max changed to %s when it was removed", got)
	}
	write(t, sysctl("expect_max"), "512")
	write(t, sysctl("max"), "65536")
	waitApplied(t, prompt, map[string]string{"max": "300000"})
	if got := read("expect_max"); got != "512" {
		t.Errorf("expect_max was repaired to %s after it was removed", got)
	}
}

// TestEditorRename: an editor writes a new file and renames it over the old one. The daemon reloads by itself.
func TestEditorRename(t *testing.T) {
	startWithModule(t)
	for _, value := range []string{"310000", "320000", "330000"} {
		writeFile(t, mainFile+".swp", strings.Replace(usual, "300000", value, 1))
		if err := os.Rename(mainFile+".swp", mainFile); err != nil {
			t.Fatal(err)
		}
		t.Logf("applied after %s", waitApplied(t, prompt, map[string]string{"max": value}))
	}
}

// TestSymlinkSwap: Kubernetes replaces the files of a ConfigMap by a symbolic link.
func TestSymlinkSwap(t *testing.T) {
	const dir = "/etc/ctkeeper/conf.d"
	startWithModule(t)
	publish := func(version, value string) {
		t.Helper()
		writeFile(t, filepath.Join(dir, version, "50-map.yaml"), withMax(value))
		_ = os.Remove(filepath.Join(dir, "..data_tmp"))
		if err := os.Symlink(version, filepath.Join(dir, "..data_tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	publish("..2026_01", "210000")
	if err := os.Symlink("..data/50-map.yaml", filepath.Join(dir, "50-map.yaml")); err != nil {
		t.Fatal(err)
	}
	waitApplied(t, prompt, map[string]string{"max": "210000"})
	for version, value := range map[string]string{"..2026_02": "220000", "..2026_03": "230000"} {
		publish(version, value)
		t.Logf("applied after %s", waitApplied(t, prompt, map[string]string{"max": value}))
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	waitApplied(t, prompt, map[string]string{"max": "300000"})
}

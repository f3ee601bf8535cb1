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

// TestBrokenReload: a broken configuration is refused whole, the last good one
// stays in force, and everybody who asks hears of it.
func TestBrokenReload(t *testing.T) {
	since := keepLoaded(t)
	put(t, mainFile, broken)
	if _, code := try(t, "systemctl", "reload", unit); code == 0 {
		t.Error("systemctl reload of a broken configuration succeeded")
	}
	refused := since.wait(t, "config-refused")
	for _, what := range []string{mainFile + ":2:", "tcp_timeout_establishd", "tcp_timeout_established", "setings"} {
		if text := refused.get("MESSAGE") + refused.get("CTKEEPER_ERROR"); !strings.Contains(text, what) {
			t.Errorf("the refusal does not name %q: %s", what, text)
		}
	}
	eventually(t, prompt, "STATUS tells of the refused configuration", func() bool {
		text := property(t, "StatusText")
		return strings.Contains(text, "refused") || strings.Contains(text, "configuration")
	})
	s, _ := ask(t, "status")
	if s.Daemon.Config.OK || s.Daemon.Config.Error == "" {
		t.Errorf("status: config %+v", s.Daemon.Config)
	}
	if !active(t) {
		t.Fatal("the unit is not active any more")
	}
	write(t, sysctl("max"), "65536")
	inForce(t, prompt, usualValues)

	mended := now(t)
	put(t, mainFile, strings.Replace(usual, "300000", "310000", 1))
	run(t, "systemctl", "reload", unit)
	inForce(t, prompt, map[string]string{"max": "310000"})
	mended.wait(t, "config-loaded")
	if s, _ := ask(t, "status"); !s.Daemon.Config.OK {
		t.Errorf("status after mending: config %+v", s.Daemon.Config)
	}
}

// TestBrokenStart: with a broken configuration the daemon does not start, says
// why with status 78, and systemd does not try again.
func TestBrokenStart(t *testing.T) {
	since := fresh(t)
	put(t, mainFile, broken)
	if _, code := try(t, "systemctl", "start", unit); code == 0 {
		t.Error("started")
	}
	time.Sleep(2 * time.Second)
	if status, state, n := property(t, "ExecMainStatus"), property(t, "ActiveState"), property(t, "NRestarts"); status != "78" || state != "failed" || n != "0" {
		t.Errorf("exit status %s, %s, %s restarts; want 78, failed, 0", status, state, n)
	}
	since.wait(t, "config-refused")
}

func withMax(value string) string { return "settings:\n  max: " + value + "\n" }

// TestDropIns: all three directories, sorted together; /etc hides /run hides
// /usr/lib; a link to /dev/null masks; what is gone is let go.
func TestDropIns(t *testing.T) {
	keepLoaded(t)
	reach := func(want string) {
		t.Helper()
		run(t, "systemctl", "reload", unit)
		inForce(t, prompt, map[string]string{"max": want})
	}
	put(t, "/usr/lib/ctkeeper/conf.d/10-site.yaml", withMax("150000"))
	reach("150000")
	put(t, "/run/ctkeeper/conf.d/10-site.yaml", withMax("160000"))
	reach("160000")
	put(t, "/etc/ctkeeper/conf.d/10-site.yaml", withMax("170000"))
	reach("170000")
	put(t, "/run/ctkeeper/conf.d/20-more.yaml", withMax("180000"))
	reach("180000")
	shown, code := stdout(t, "ctkeeper", "config", "show")
	if code != 0 || !strings.Contains(shown, "/run/ctkeeper/conf.d/20-more.yaml:2") {
		t.Errorf("config show (%d) does not say where max comes from:\n%s", code, shown)
	}
	mask(t, "/etc/ctkeeper/conf.d/20-more.yaml")
	reach("170000")
	mask(t, "/etc/ctkeeper/conf.d/10-site.yaml")
	reach("300000")
	if !holds(usualValues) {
		t.Error("the drop-ins changed more than max")
	}
}

func mask(t *testing.T, path string) {
	t.Helper()
	_ = os.Remove(path)
	if err := os.Symlink("/dev/null", path); err != nil {
		t.Fatal(err)
	}
}

// TestLetGo: a setting that leaves the configuration keeps its value, and
// ctkeeper no longer looks at it.
func TestLetGo(t *testing.T) {
	keepLoaded(t)
	put(t, mainFile, strings.Replace(usual, "  expect_max: 4096\n", "", 1))
	run(t, "systemctl", "reload", unit)
	if s, _ := ask(t, "status"); s.setting("expect_max").Name != "" {
		t.Error("status still shows expect_max")
	}
	if got := read("expect_max"); got != "4096" {
		t.Errorf("expect_max became %s by being let go", got)
	}
	write(t, sysctl("expect_max"), "512")
	write(t, sysctl("max"), "65536")
	inForce(t, prompt, map[string]string{"max": "300000"})
	if got := read("expect_max"); got != "512" {
		t.Errorf("expect_max is still kept: %s", got)
	}
}

// TestEditorRename: an editor writes a new file and renames it over the old one.
// Nobody says reload.
func TestEditorRename(t *testing.T) {
	keepLoaded(t)
	for _, value := range []string{"310000", "320000", "330000"} {
		put(t, mainFile+".swp", strings.Replace(usual, "300000", value, 1))
		if err := os.Rename(mainFile+".swp", mainFile); err != nil {
			t.Fatal(err)
		}
		t.Logf("in force after %s", inForce(t, prompt, map[string]string{"max": value}))
	}
}

// TestSymlinkSwap: the way in which Kubernetes replaces the files of a ConfigMap.
func TestSymlinkSwap(t *testing.T) {
	const dir = "/etc/ctkeeper/conf.d"
	keepLoaded(t)
	publish := func(version, value string) {
		t.Helper()
		put(t, filepath.Join(dir, version, "50-map.yaml"), withMax(value))
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
	inForce(t, prompt, map[string]string{"max": "210000"})
	for version, value := range map[string]string{"..2026_02": "220000", "..2026_03": "230000"} {
		publish(version, value)
		t.Logf("in force after %s", inForce(t, prompt, map[string]string{"max": value}))
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	inForce(t, prompt, map[string]string{"max": "300000"})
}

package packaging

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// runMake runs make in the source tree. Variables such as DESTDIR come from arguments alone.
func runMake(t *testing.T, env []string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command("make", append([]string{"--no-print-directory", "-C", ".."}, args...)...)
	cmd.Env = append(os.Environ(), append([]string{"MAKEFLAGS=", "MAKELEVEL=", "GOFLAGS="}, env...)...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func mustMake(t *testing.T, env []string, args ...string) string {
	t.Helper()
	out, err := runMake(t, env, args...)
	if err != nil {
		t.Fatalf("make %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// list returns the files and links below a directory, and their modes.
func list(t *testing.T, dir string) map[string]fs.FileMode {
	t.Helper()
	files := map[string]fs.FileMode{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		files[strings.TrimPrefix(path, dir)] = info.Mode()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestInstall builds as make build does, installs without Go in the path, as under sudo, and takes all of it back.
func TestInstall(t *testing.T) {
	bin, tree := t.TempDir(), t.TempDir()
	out, err := runMake(t, nil, "install", "BIN="+bin, "DESTDIR="+tree)
	if want := "run `make build` first"; err == nil || !strings.Contains(out, want) {
		t.Errorf("make install without programs says %q (%v), want %q", out, err, want)
	}
	if left := list(t, tree); len(left) > 0 {
		t.Errorf("make install without programs installed %v", left)
	}
	mustMake(t, nil, "build", "BIN="+bin)
	mustMake(t, []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "GO=/bin/false"}, "install", "BIN="+bin, "DESTDIR="+tree)
	files := list(t, tree)
	for file, mode := range files {
		want := fs.FileMode(0o644)
		if filepath.Dir(file) == "/usr/bin" {
			want = 0o755
		}
		if mode != want {
			t.Errorf("%s has mode %v, want %v", file, mode, want)
		}
	}
	for _, want := range []string{
		"/usr/bin/ctkeeper", "/usr/bin/ctkeeper-exporter", "/usr/lib/systemd/system/ctkeeper.service",
		"/usr/share/zsh/site-functions/_ctkeeper", "/etc/ctkeeper/ctkeeper.yaml",
	} {
		if _, ok := files[want]; !ok {
			t.Errorf("%s is missing", want)
		}
	}
	testUninstall(t, bin, tree)
}

func testUninstall(t *testing.T, bin, tree string) {
	t.Helper()
	config := filepath.Join(tree, "etc/ctkeeper/ctkeeper.yaml")
	text := "module: {load: true, parameters: {expect_hashsize: 2048}}\n"
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(filepath.Join(bin, "ctkeeper"), "persist", "--root", tree).CombinedOutput()
	if err != nil {
		t.Fatalf("persist: %v\n%s", err, out)
	}
	if _, err := os.Stat(filepath.Join(tree, "etc/modprobe.d/ctkeeper.conf")); err != nil {
		t.Fatal(err)
	}
	mustMake(t, nil, "install", "BIN="+bin, "DESTDIR="+tree)
	if got, err := os.ReadFile(config); err != nil || string(got) != text {
		t.Errorf("a second make install changed the configuration to %q (%v)", got, err)
	}
	if said, want := mustMake(t, nil, "uninstall", "DESTDIR="+tree), "These stay"; !strings.Contains(said, want) {
		t.Errorf("make uninstall says %q, want %q", said, want)
	}
	var left []string
	for file := range list(t, tree) {
		left = append(left, file)
	}
	slices.Sort(left)
	if diff := cmp.Diff([]string{"/etc/ctkeeper/ctkeeper.yaml"}, left); diff != "" {
		t.Errorf("make uninstall leaves (-want +got):\n%s", diff)
	}
}

// TestInstallPrefix checks that no file names /usr where another prefix was asked for.
func TestInstallPrefix(t *testing.T) {
	bin, tree := t.TempDir(), t.TempDir()
	for _, file := range strings.Fields("ctkeeper ctkeeper-exporter completion/bash completion/zsh completion/fish") {
		path := filepath.Join(bin, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	mustMake(t, nil, "install", "BIN="+bin, "DESTDIR="+tree, "PREFIX=/opt/local")
	for file := range list(t, tree) {
		if filepath.Dir(file) == "/opt/local/lib/systemd/system" || filepath.Dir(file) == "/opt/local/share/ctkeeper" {
			text, err := os.ReadFile(tree + file)
			if err != nil {
				t.Fatal(err)
			}
			if regexp.MustCompile(`/usr/(bin|share)/ctkeeper`).Match(text) {
				t.Errorf("%s names /usr", file)
			}
		}
	}
}

// TestVersion checks where the version comes from: the newest release in CHANGELOG.md, commits after its tag, or the
// command line.
func TestVersion(t *testing.T) {
	clone := t.TempDir()
	script := `set -e
cp ../Makefile ` + clone + `
cd ` + clone + `
printf '## [1.2.3] - 2026-01-02\n## [1.2.2] - 2026-01-01\n' > CHANGELOG.md
git init -q . && git config user.name a && git config user.email a@example.org && git add . && git commit -qm a
version() { make -s -n build "$@" | sed -n 's/.*main.version=\([^ '"'"']*\).*/\1/p'; }
version
git tag v1.2.2 && version
git tag v1.2.3 && version
git commit -q --allow-empty -m b && version | sed 's/g[0-9a-f]*$/gCOMMIT/'
version VERSION=9
if [ "$(id -u)" = 0 ]; then chown -R 65534 . && version | sed 's/g[0-9a-f]*$/gCOMMIT/'; else echo 1.2.3+1.gCOMMIT; fi
rm -rf .git && version`
	cmd := exec.Command("bash", "-c", script)
	cmd.Env = append(os.Environ(), "MAKEFLAGS=", "HOME="+clone, "GIT_CEILING_DIRECTORIES="+filepath.Dir(clone))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := "1.2.3\n1.2.3\n1.2.3\n1.2.3+1.gCOMMIT\n9\n1.2.3+1.gCOMMIT\n1.2.3\n"
	if diff := cmp.Diff(want, string(out)); diff != "" {
		t.Errorf("versions (-want +got):\n%s", diff)
	}
}

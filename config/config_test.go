package config

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

var update = flag.Bool("update", false, "rewrite golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// host creates a root directory with files, their contents by path, and 8 GiB of RAM. The content
// "-> TARGET" creates a symbolic link.
func host(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	put(t, root, "/proc/meminfo", "MemTotal:        8388608 kB\nMemFree:          100000 kB\n")
	for path, content := range files {
		put(t, root, path, content)
	}
	return root
}

func put(t *testing.T, root, path, content string) {
	t.Helper()
	full := filepath.Join(root, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	var err error
	if target, link := strings.CutPrefix(content, "-> "); link {
		err = os.Symlink(target, full)
	} else {
		err = os.WriteFile(full, []byte(content), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// load loads the configuration below root, and fails the test on any error.
func load(t *testing.T, root string) *Config {
	t.Helper()
	c, err := Source{Root: root}.Load()
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	return c
}

// wants returns a configuration's wants, one line each.
func wants(c *Config) []string {
	var lines []string
	for _, w := range c.Wants {
		lines = append(lines, w.Setting.Name+" "+w.String()+" "+w.Origin.String())
	}
	return lines
}

// sameSetting compares settings by name: those that are not in the catalogue have no unique
// pointer.
var sameSetting = cmp.Comparer(func(a, b *sysfs.Setting) bool { return a.Name == b.Name && a.Kind == b.Kind })

func diff(t *testing.T, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got, sameSetting); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// golden compares got with a golden file, or rewrites the file with -update.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v (write it with -update)", err)
	}
	diff(t, file, string(want), got)
}

// Package ctkeeper_test keeps the house as CONTRIBUTING.md draws it: imports
// run one way, every room has a door plate, and nothing starts on its own.
package ctkeeper_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/ctkeeper/ctkeeper/"

// mayImport lists, for each room, the rooms whose doors open to it.
var mayImport = map[string][]string{
	"host/tree":         {},
	"host/capability":   {},
	"host/distro":       {"host/tree"},
	"host/klog":         {"host/tree"},
	"sysfs":             {},
	"systemd":           {},
	"kmod":              {"host"},
	"config":            {"sysfs", "host"},
	"guard":             {"sysfs", "host"},
	"reconcile":         {"sysfs"},
	"table":             {"kmod", "sysfs", "host"},
	"persist":           {"config", "kmod", "sysfs", "host"},
	"explain/firewall":  {"kmod", "host"},
	"explain/inventory": {"kmod", "sysfs", "host"},
	"explain/importer":  {"config", "explain/inventory", "kmod", "sysfs", "host"},
	"explain/doctor":    {"config", "explain/firewall", "explain/inventory", "kmod", "persist", "sysfs", "table", "host"},
	"metrics":           {"reconcile", "table", "host"},
	"ui/page":           {"reconcile", "table"},
	"daemon":            {"config", "guard", "kmod", "metrics", "reconcile", "sysfs", "systemd", "table", "ui/page", "host"},
	"ui/term":           {"daemon", "reconcile", "sysfs", "table"},
	"ui/text":           {"config", "daemon", "explain/doctor", "guard", "explain/importer", "kmod", "persist", "reconcile", "sysfs", "table", "host"},
	"cmd/ctkeeper":      {"config", "daemon", "explain/doctor", "explain/importer", "explain/inventory", "kmod", "persist", "systemd", "table", "ui/term", "ui/text", "host"},
}

// allows reports whether a package may import another: by its path, or by the wing that it
// stands in ("host" allows host/tree).
func allows(allowed []string, other string) bool {
	wing, _, _ := strings.Cut(other, "/")
	return slices.Contains(allowed, other) || slices.Contains(allowed, wing)
}

type goPackage struct {
	ImportPath, Dir string
	GoFiles         []string
	Imports         []string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Dir,GoFiles,Imports", "./...").Output()
	if err != nil {
		t.Fatalf("cannot list the packages: %v", err)
	}
	var list []goPackage
	for in := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := in.Decode(&p); errors.Is(err, io.EOF) {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
}

func TestImportsRunOneWay(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range packages(t) {
		room := strings.TrimPrefix(p.ImportPath, module)
		allowed, known := mayImport[room]
		if strings.HasPrefix(room, "e2e") || strings.HasPrefix(room, "internal/") || len(p.GoFiles) == 0 {
			continue
		}
		if !known {
			t.Errorf("%s is a room without a place in the house", room)
		}
		seen[room] = true
		for _, imported := range p.Imports {
			other, ours := strings.CutPrefix(imported, module)
			if ours && !allows(allowed, other) {
				t.Errorf("%s imports %s, against the house", room, other)
			}
		}
	}
	for room := range mayImport {
		if !seen[room] {
			t.Errorf("%s is in the plan of the house and not in the house", room)
		}
	}
}

func TestHabits(t *testing.T) {
	habits := []struct {
		pattern *regexp.Regexp
		why     string
	}{
		{regexp.MustCompile(`(?m)^func init\(\)`), "an init function"},
		{regexp.MustCompile(`(?m)^\s*go (func|\w)`), "a bare go statement: everything that runs is a task under the errgroup"},
		{regexp.MustCompile(`os\.WriteFile|os\.Create\(`), "a write with O_CREATE: in sysfs it turns ENOENT into EACCES"},
		{regexp.MustCompile(`strings\.Contains\([a-z]*[eE]rr\.Error\(\)`), "an error matched by its text"},
	}
	for _, p := range packages(t) {
		room := strings.TrimPrefix(p.ImportPath, module)
		if _, known := mayImport[room]; !known {
			continue
		}
		if room != "cmd/ctkeeper" && !slices.Contains(p.GoFiles, "doc.go") {
			t.Errorf("%s has no doc.go", room)
		}
		for _, file := range p.GoFiles {
			text, err := os.ReadFile(filepath.Join(p.Dir, file))
			if err != nil {
				t.Fatal(err)
			}
			if lines := bytes.Count(text, []byte{'\n'}); lines > 400 {
				t.Errorf("%s/%s has %d lines, more than 400", room, file, lines)
			}
			for _, habit := range habits {
				if habit.pattern.Match(text) {
					t.Errorf("%s/%s: %s", room, file, habit.why)
				}
			}
		}
	}
}

// Looking changes nothing on the host, and a BPF program is a change: status, diff, doctor and
// their like never load one, because the daemon's task alone opens the guard.
func TestOneTaskOpensTheGuard(t *testing.T) {
	var found []string
	for _, p := range packages(t) {
		for _, file := range p.GoFiles {
			text, err := os.ReadFile(filepath.Join(p.Dir, file))
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(text, []byte("guard.Open(")) || bytes.Contains(text, []byte("d.watchGuard")) {
				found = append(found, strings.TrimPrefix(p.ImportPath, module)+"/"+file)
			}
		}
	}
	if want := []string{"daemon/daemon.go", "daemon/guard.go"}; !slices.Equal(found, want) {
		t.Errorf("the guard is opened, or its task is started, in %v, want %v", found, want)
	}
}

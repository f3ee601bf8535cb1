// Package ctkeeper_test checks what CONTRIBUTING.md promises of the packages: imports run one way, every
// package has a doc.go, nothing starts by itself, and files, functions and lines stay short.
package ctkeeper_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

const module = "github.com/ctkeeper/ctkeeper/"

// mayImport lists what each package may import. A name stands for the packages below it as well.
var mayImport = map[string][]string{
	"host/tree":         {},
	"host/rawio":        {},
	"host/alarm":        {"host/rawio"},
	"host/buildinfo":    {},
	"host/priority":     {},
	"host/capability":   {},
	"host/inotify":      {"host/rawio"},
	"host/pattern":      {},
	"host/printable":    {},
	"host/logging":      {},
	"host/meminfo":      {"host/tree"},
	"host/mountinfo":    {"host/tree"},
	"host/shell":        {},
	"host/spelling":     {},
	"host/unixhttp":     {},
	"host/change":       {"host/shell"},
	"host/distro":       {"host/change", "host/shell", "host/tree"},
	"host/dropin":       {"host/tree"},
	"host/command":      {},
	"host/owner":        {},
	"host/klog":         {"host/command", "host/pattern", "host/tree"},
	"host/process":      {"host/tree"},
	"sysfs":             {"host"},
	"systemd":           {"host/logging"},
	"kmod":              {"host"},
	"config":            {"reconcile", "sysfs", "host"},
	"guard":             {"sysfs", "host"},
	"guard/setup":       {"config", "persist", "systemd", "host"},
	"reconcile":         {"sysfs", "host"},
	"table":             {"kmod", "sysfs", "host"},
	"persist":           {"config", "kmod", "sysfs", "host"},
	"explain/firewall":  {"kmod", "host"},
	"explain/inventory": {"kmod", "sysfs", "host"},
	"explain/importer":  {"config", "explain/inventory", "kmod", "sysfs", "host"},
	"explain/render":    {"config", "kmod", "sysfs", "host"},
	"explain/support":   {"host"},
	"explain/doctor": {
		"config", "explain/firewall", "explain/inventory", "kmod", "persist", "reconcile", "sysfs", "table", "host",
	},
	"status":  {"host", "kmod", "reconcile", "sysfs", "table"},
	"metrics": {"kmod", "reconcile", "status", "table", "host"},
	"ui/sgr":  {"status"},
	"ui/page": {"reconcile", "status", "table"},
	"daemon":  {"config", "guard", "kmod", "reconcile", "status", "sysfs", "systemd", "table", "host"},
	"ui/term": {"config", "ui/sgr", "reconcile", "status", "sysfs", "table", "host"},
	"ui/text": {
		"config", "explain/doctor", "explain/importer", "explain/render", "explain/support", "kmod", "persist",
		"reconcile", "status", "sysfs", "table", "ui/sgr", "host",
	},
	"cmd/ctkeeper": {
		"config", "daemon", "explain/doctor", "explain/importer", "explain/inventory", "explain/render",
		"explain/support", "guard/setup", "kmod", "persist", "reconcile", "status", "sysfs", "systemd", "table",
		"ui/term", "ui/text", "host",
	},
	"packaging/metadata":    {"host"},
	"cmd/ctkeeper-exporter": {"metrics", "reconcile", "status", "table", "ui/page", "host"},
}

// allows reports whether a list of names has a package, or one that it is below ("host" allows host/tree).
func allows(names []string, other string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		return other == name || strings.HasPrefix(other, name+"/")
	})
}

// doctorShares are the inner packages of explain/doctor that its topics share, each with those that it may
// import. Every other inner package is a topic: it may import these, and no other topic.
var doctorShares = map[string][]string{
	"finding": {},
	"picture": {"finding"},
	"fixes":   {"finding", "picture"},
}

// allowed returns what a package may import, and whether it has an entry.
func allowed(name string) ([]string, bool) {
	const doctor = "explain/doctor/"
	inner, isInner := strings.CutPrefix(name, doctor)
	if !isInner {
		list, known := mayImport[name]
		return list, known
	}
	shares, isShare := doctorShares[inner]
	if !isShare {
		shares = slices.Collect(maps.Keys(doctorShares))
	}
	list := slices.Clone(mayImport["explain/doctor"])
	for _, share := range shares {
		list = append(list, doctor+share)
	}
	return list, true
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
		name := strings.TrimPrefix(p.ImportPath, module)
		if strings.HasPrefix(name, "e2e") || strings.HasPrefix(name, "internal/") || len(p.GoFiles) == 0 {
			continue
		}
		names, known := allowed(name)
		if !known {
			t.Errorf("mayImport has no entry for %s", name)
		}
		seen[name] = true
		for _, imported := range p.Imports {
			other, ours := strings.CutPrefix(imported, module)
			if ours && !allows(names, other) && !strings.HasPrefix(other, name+"/") {
				t.Errorf("%s imports %s, which mayImport does not allow", name, other)
			}
		}
	}
	for name := range mayImport {
		if !seen[name] {
			t.Errorf("mayImport has %s, which is not a package", name)
		}
	}
}

// The daemon has no web server for the network and no metrics library: the exporter has them.
func TestDaemonIsNoExporter(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "./cmd/ctkeeper").Output()
	if err != nil {
		t.Fatalf("cannot list the dependencies: %v", err)
	}
	for dependency := range strings.Lines(string(out)) {
		if strings.HasPrefix(dependency, "github.com/prometheus/") || strings.HasPrefix(dependency, module+"metrics") ||
			strings.HasPrefix(dependency, module+"ui/page") {
			t.Errorf("ctkeeper links %s", dependency)
		}
	}
}

// TestDaemonIsSmall looks for what would make the resident daemon larger by a megabyte or more.
func TestDaemonIsSmall(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "./cmd/ctkeeper").Output()
	if err != nil {
		t.Fatalf("cannot list what ctkeeper links: %v", err)
	}
	linked := strings.Fields(string(out))
	for _, large := range []string{"net/http", "crypto/tls", "go.uber.org/zap", "html/template"} {
		if slices.Contains(linked, large) {
			t.Errorf("ctkeeper links %s", large)
		}
	}
}

func TestHabits(t *testing.T) {
	habits := []struct {
		pattern *regexp.Regexp
		why     string
	}{
		{regexp.MustCompile(`(?m)^func init\(\)`), "an init function"},
		{regexp.MustCompile(`(?m)^\s*go (func|\w)`), "a bare go statement: what runs is a task under the errgroup"},
		{regexp.MustCompile(`os\.WriteFile|os\.Create\(`), "O_CREATE: in sysfs it turns ENOENT into EACCES"},
		{regexp.MustCompile(`strings\.Contains\([a-z]*[eE]rr\.Error\(\)`), "an error matched by its text"},
	}
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		if _, known := allowed(name); !known {
			continue
		}
		if !strings.HasPrefix(name, "cmd/") && !slices.Contains(p.GoFiles, "doc.go") {
			t.Errorf("%s has no doc.go", name)
		}
		for _, file := range p.GoFiles {
			text, err := os.ReadFile(filepath.Join(p.Dir, file))
			if err != nil {
				t.Fatal(err)
			}
			for _, habit := range habits {
				if habit.pattern.Match(text) {
					t.Errorf("%s/%s: %s", name, file, habit.why)
				}
			}
		}
	}
}

// TestPatterns compiles what pattern.New compiles only at its first use, and looks for what still compiles at
// the start of every program.
func TestPatterns(t *testing.T) {
	count := 0
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		if _, known := allowed(name); !known {
			continue
		}
		for _, file := range p.GoFiles {
			parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, file), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, declaration := range parsed.Decls {
				variables, isVariables := declaration.(*ast.GenDecl)
				if !isVariables {
					continue
				}
				ast.Inspect(variables, func(n ast.Node) bool {
					call, isCall := n.(*ast.CallExpr)
					if !isCall {
						return true
					}
					switch called := types.ExprString(call.Fun); called {
					case "regexp.MustCompile", "regexp.MustCompilePOSIX":
						t.Errorf("%s/%s: %s at the start: use host/pattern", name, file, called)
					case "pattern.New":
						count++
						text, err := types.Eval(token.NewFileSet(), nil, token.NoPos, types.ExprString(call.Args[0]))
						if err != nil {
							t.Fatalf("%s/%s: not a constant: %v", name, file, err)
						}
						if _, err := regexp.Compile(constant.StringVal(text.Value)); err != nil {
							t.Errorf("%s/%s: %v", name, file, err)
						}
					}
					return true
				})
			}
		}
	}
	if count == 0 {
		t.Error("no pattern was found")
	}
}

// limits of the shape of Go files: columns count a tab as 4.
const (
	maxColumns      = 120
	maxLines        = 400 // of a file that is not a test
	maxFunction     = 60  // lines of a function
	maxTestFunction = 70  // lines of a function in a test file
)

// TestShape keeps files and functions short enough to read, and lines short enough to review side by side.
func TestShape(t *testing.T) {
	err := filepath.WalkDir(".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(file) != ".go" {
			return err
		}
		text, err := os.ReadFile(file)
		for _, problem := range shapeProblems(t, file, text) {
			t.Error(problem)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// shapeProblems lists what in a Go file exceeds a limit.
func shapeProblems(t *testing.T, file string, text []byte) (problems []string) {
	t.Helper()
	isTest := strings.HasSuffix(file, "_test.go")
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		columns := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")) + 3*strings.Count(line, "\t")
		if columns > maxColumns {
			problems = append(problems, fmt.Sprintf("%s:%d: %d columns, at most %d", file, number, columns, maxColumns))
		}
	}
	if number > maxLines && !isTest {
		problems = append(problems, fmt.Sprintf("%s: %d lines, at most %d", file, number, maxLines))
	}
	limit := maxFunction
	if isTest {
		limit = maxTestFunction
	}
	positions := token.NewFileSet()
	parsed, err := parser.ParseFile(positions, file, text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, declaration := range parsed.Decls {
		function, ok := declaration.(*ast.FuncDecl)
		if !ok {
			continue
		}
		first, last := positions.Position(function.Pos()), positions.Position(function.End())
		if lines := last.Line - first.Line + 1; lines > limit {
			problems = append(problems,
				fmt.Sprintf("%s: %s has %d lines, at most %d", first, function.Name.Name, lines, limit))
		}
	}
	return problems
}

// TestOneTaskOpensTheGuard: commands that only read change nothing on the host, and loading a BPF program is a
// change. So status, diff, doctor and the like never load one: only the daemon's task opens the guard.
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
		t.Errorf("guard.Open is called, or its task is started, in %v, want %v", found, want)
	}
}

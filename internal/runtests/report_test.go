package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// module are the files of a module whose tests pass, fail, panic, do not compile, and are skipped.
var module = map[string]string{
	"go.mod": "module m\n\ngo 1.26\n",
	"bad/bad_test.go": `package bad
import "testing"
func TestFails(t *testing.T) {
	t.Run("sub", func(t *testing.T) { t.Error("wrong") })
	t.Run("good", func(t *testing.T) { t.Log("hidden") })
}
`,
	"boo/boo_test.go":     "package boo\nimport \"testing\"\nfunc TestPanics(t *testing.T) { panic(\"boo\") }\n",
	"broken/broken.go":    "package broken\nfunc x() { undefined() }\n",
	"broken/some_test.go": "package broken\nimport \"testing\"\nfunc TestX(t *testing.T) { t.Log(\"x\") }\n",
	"good/good_test.go": `package good
import "testing"
func TestGood(t *testing.T) { t.Log("hidden") }
func TestRoot(t *testing.T) { t.Skip("needs root") }
func TestRootToo(t *testing.T) { t.Skip("needs root") }
func TestInner(t *testing.T) {
	const inner = "=== RUN   TestInner\n    x_test.go:3: no bridges\n--- SKIP: TestInner (0.00s)\n"
	t.Skipf("in its own namespaces:\n%s", inner)
}
`,
}

// run tests the module without some packages, and returns the output and whether the tests passed.
func run(t *testing.T, without ...string) (string, bool) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range module {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range without {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	r := &report{out: &out}
	err := runTests(t.Context(), "go", r, dir, []string{"-count=1"})
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	r.printSkipped()
	return regexp.MustCompile(`\d+\.\d+s`).ReplaceAllString(out.String(), "1s"), err == nil
}

const skipped = `
Skipped, 3 in all:
  needs root
      good.TestRoot, good.TestRootToo
  no bridges
      good.TestInner
`

func TestPassed(t *testing.T) {
	got, passed := run(t, "bad", "boo", "broken")
	if diff := cmp.Diff("ok  \tm/good\t1s\n"+skipped, got); diff != "" || !passed {
		t.Errorf("passed %t (-want +got):\n%s", passed, diff)
	}
}

func TestFailed(t *testing.T) {
	got, passed := run(t, "boo", "broken")
	const bad = "--- FAIL: TestFails (1s)\n    bad_test.go:4: wrong\n--- FAIL: TestFails/sub (1s)\nFAIL\n" +
		"FAIL\tm/bad\t1s\n"
	const good = "ok  \tm/good\t1s\n"
	// go test -json prints the packages as they end.
	if passed || got != bad+good+skipped && got != good+bad+skipped {
		t.Errorf("passed %t, got:\n%s", passed, got)
	}
}

// TestBroken shows what a panic and the compiler print.
func TestBroken(t *testing.T) {
	got, passed := run(t, "bad")
	for _, want := range []string{
		"panic: boo", "boo_test.go:3", "FAIL\tm/boo\t1s\n", "broken.go:2:12: undefined: undefined",
		"FAIL\tm/broken [build failed]", "ok  \tm/good\t1s\n", skipped,
	} {
		if !strings.Contains(got, want) || passed {
			t.Errorf("passed %t, no %q in\n%s", passed, want, got)
		}
	}
}

func TestMissing(t *testing.T) {
	var out bytes.Buffer
	none := func(string) (string, error) { return "", exec.ErrNotFound }
	printMissing(&out, none)
	if got := out.String(); !strings.Contains(got, "prometheus, promtool, ") ||
		strings.Count(got, "prometheus") != 4 || !strings.Contains(got, "\n  apt-get install ansible-lint ") {
		t.Errorf("got %s", got)
	}
	out.Reset()
	printMissing(&out, func(string) (string, error) { return "/bin/x", nil })
	if out.Len() > 0 {
		t.Errorf("nothing is missing: %s", &out)
	}
}

func TestCheckCompiler(t *testing.T) {
	err := checkCompiler(t.Context(), "no-such-compiler")
	if err == nil || !strings.Contains(err.Error(), "gcc libc6-dev") {
		t.Errorf("no compiler: %v", err)
	}
	// A compiler without headers fails like this one.
	failing := filepath.Join(t.TempDir(), "cc")
	if err := os.WriteFile(failing, []byte("#!/bin/sh\necho stdlib.h: No such file; exit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	err = checkCompiler(t.Context(), failing)
	if err == nil || !strings.Contains(err.Error(), "apt-get install libc6-dev\nstdlib.h: No such file") {
		t.Errorf("no headers: %v", err)
	}
}

//go:build e2e

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ctkeeper/ctkeeper/e2e/rig"
)

// build puts below dir what a run needs: the installed ctkeeper (tree), the helpers, and this command (program).
func build(t *testing.T, dir string) (tree, helpers, program string) {
	t.Helper()
	tree, helpers, program = filepath.Join(dir, "tree"), filepath.Join(dir, "helpers"), filepath.Join(dir, "bench")
	if err := rig.Install("../..", tree); err != nil {
		t.Fatal(err)
	}
	if err := rig.BuildHelpers("../helpers", helpers); err != nil {
		t.Fatal(err)
	}
	if _, err := rig.Command(".", "go", "build", "-trimpath", "-o", program, "."); err != nil {
		t.Fatal(err)
	}
	return tree, helpers, program
}

// arguments returns the flags of the measurement: those in BENCH ("-quiet 1m -writes 100"), and more.
func arguments(more ...string) []string {
	return append(strings.Fields(os.Getenv("BENCH")), more...)
}

// TestHere measures in a private network namespace of this machine.
func TestHere(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("a network namespace with writable sysctls needs root: run `sudo make bench`")
	}
	tree, helpers, program := build(t, t.TempDir())
	args := arguments("-ctkeeper", filepath.Join(tree, "usr/bin/ctkeeper"), "-bare", filepath.Join(helpers, "bare"))
	cmd := exec.Command("unshare", append([]string{"--net", program}, args...)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
}

// TestMachine measures in the virtual machine, which can load and unload the module as well.
func TestMachine(t *testing.T) {
	kernel := os.Getenv("KERNEL")
	if kernel == "" {
		kernel = "6.1"
	}
	machine, err := rig.Prepare(kernel, rig.Root{})
	if err != nil {
		t.Fatal(err)
	}
	tree, helpers, program := build(t, t.TempDir())
	guest := rig.Guest{
		Trees:   map[string]string{tree: "/", helpers: rig.GuestDir},
		Program: program,
		Args:    arguments("-module", "-bare", rig.GuestDir+"/bare"),
	}
	finished := false
	result, err := machine.Boot(context.Background(), guest, func(out io.Reader) error {
		content, err := io.ReadAll(out)
		fmt.Printf("%s", content)
		finished = strings.Contains(string(content), "idle for")
		return err
	})
	if err != nil || !finished {
		t.Errorf("the measurement did not finish: %v\n%s", err, result.Tail("console.log", 20))
	}
}

//go:build e2e

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/ctkeeper/ctkeeper/e2e/rig"
)

// results is where the reports are kept, as JSON.
const results = "../../dist/bench"

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

// arguments returns the flags of the measurement, of which those in BENCH ("-quiet 1m -n 100") come last and win.
func arguments(flags ...string) []string {
	return append(flags, strings.Fields(os.Getenv("BENCH"))...)
}

// keep prints the output of the program as it comes, and writes its report to a file. The error says what could not be
// measured.
func keep(out io.Reader, file string) error {
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if text, found := strings.CutPrefix(line, reportPrefix); found {
			var r report
			if err := json.Unmarshal([]byte(text), &r); err != nil {
				return err
			}
			err := os.WriteFile(filepath.Join(results, file), []byte(text), 0o644)
			if len(r.Failed) > 0 {
				err = errors.Join(err, errors.New(strings.Join(r.Failed, "\n")))
			}
			return err
		}
		fmt.Print(line)
		if err != nil {
			return fmt.Errorf("the measurement did not finish: %w", err)
		}
	}
}

// TestHere measures in private namespaces of this machine.
func TestHere(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("a network namespace with writable sysctls needs root: run `sudo make bench`")
	}
	if err := os.MkdirAll(results, 0o755); err != nil {
		t.Fatal(err)
	}
	tree, helpers, program := build(t, t.TempDir())
	args := arguments("-ctkeeper", filepath.Join(tree, "usr/bin/ctkeeper"), "-helpers", helpers)
	cmd := exec.Command("unshare", append([]string{"--net", "--mount", program}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(keep(out, "here.json"), cmd.Wait()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(os.Getenv("BENCH"), "-only") {
		addPasses(t, filepath.Join(results, "here.json"))
	}
}

var passResult = regexp.MustCompile(`(?m)^BenchmarkQuietPass/settings=(\d+)\S*\s+\d+\s+([\d.]+) ns/op`)

// addPasses adds to a report how long a pass takes in which nothing differs, as the Go benchmark measures it.
func addPasses(t *testing.T, file string) {
	out, err := rig.Command("../..", "unshare", "--net",
		"go", "test", "-run", "^$", "-bench", "QuietPass", "-count", "5", "./daemon")
	if err != nil {
		t.Fatal(err)
	}
	r, err := readReport(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range passResult.FindAllStringSubmatch(out, -1) {
		ns, err := strconv.ParseFloat(found[2], 64)
		if err != nil {
			t.Fatal(err)
		}
		r.add(series{
			Section: "pass", Case: found[1], Program: ours, Measure: "total", Unit: nanoseconds, Values: []float64{ns},
		})
	}
	text, err := json.Marshal(r)
	if err == nil {
		err = os.WriteFile(file, text, 0o644)
	}
	if err != nil || len(r.programs("pass")) == 0 {
		t.Fatalf("no figures of a pass: %v\n%s", err, out)
	}
}

// servicesRoot has services beside which ctkeeper's cost at rest is measured, which starts them.
var servicesRoot = rig.Root{
	Packages: []string{"tuned", "chrony", "prometheus-node-exporter"},
	Disable:  []string{"tuned.service", "chrony.service", "prometheus-node-exporter.service"},
	Memory:   4000,
}

// TestMachine measures in the virtual machine, which can load and unload the module as well.
func TestMachine(t *testing.T) {
	if err := os.MkdirAll(results, 0o755); err != nil {
		t.Fatal(err)
	}
	kernel := os.Getenv("KERNEL")
	if kernel == "" {
		kernel = "6.1"
	}
	machine, err := rig.Prepare(kernel, servicesRoot)
	if err != nil {
		t.Fatal(err)
	}
	tree, helpers, program := build(t, t.TempDir())
	kubeProxy, err := rig.KubeProxy()
	if err != nil {
		t.Fatal(err)
	}
	guest := rig.Guest{
		Trees:   map[string]string{tree: "/", helpers: rig.GuestDir, kubeProxy: rig.GuestDir},
		Program: program,
		Args:    arguments("-module", "-helpers", rig.GuestDir, "-n", "400", "-slow", "40"),
	}
	result, err := machine.Boot(context.Background(), guest, func(out io.Reader) error {
		return keep(out, "machine.json")
	})
	if err != nil {
		t.Errorf("%v\n%s", err, result.Tail("console.log", 20))
	}
}

//go:build e2e

package e2e

import (
	"context"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ctkeeper/ctkeeper/e2e/rig"
)

// bootConfig is the configuration at boot, before any scenario runs.
const bootConfig = `settings:
  max: 200000
  hashsize: 100000
  expect_max: 8192
  tcp_timeout_established: 2h
`

// bootSysctl is how a user in the field tried to set a value at boot.
const bootSysctl = "net.netfilter.nf_conntrack_expect_max = 8192\n"

// maxBoots is how often a machine is booted when a fault of the emulator stops its kernel.
const maxBoots = 4

// reserve is the time before the test's deadline that is left to stop the machine and report.
const reserve = 20 * time.Second

// machines has room for the machines that run at a time: an emulated machine uses one processor, or a little more.
var machines = make(chan struct{}, 2)

// runBesideOthers lets a test run at the same time as others, and waits until its machine may run. Those that wait
// count as running (go test -parallel).
func runBesideOthers(t *testing.T) {
	t.Parallel()
	machines <- struct{}{}
	t.Cleanup(func() { <-machines })
}

// TestE2E boots two machines, each for every second scenario, and reports every scenario as a subtest. A scenario that
// skips has failed, and so has one that does not report.
func TestE2E(t *testing.T) {
	kernel := kernelName()
	machine, err := rig.Prepare(kernel, rig.Root{})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("kernel %s: Debian %s", kernel, machine.Kernel.Version)
	guest, expected := guestWithScenarios(t, t.TempDir())
	guest.Trees[machine.Kernel.Archive] = rig.ArchiveDir
	// This test takes longest, so its machines start before the other tests go on, which wait until all have
	// called t.Parallel.
	for range cap(machines) {
		machines <- struct{}{}
	}
	t.Parallel()
	halves := make([][]string, cap(machines))
	for i, name := range expected {
		halves[i%len(halves)] = append(halves[i%len(halves)], name)
	}
	var running sync.WaitGroup
	defer running.Wait()
	for _, names := range halves {
		running.Go(func() {
			defer func() { <-machines }()
			if len(names) > 0 {
				half := guest
				half.Args = argumentsFor(names)
				run(t, machine, half, names)
			}
		})
	}
}

// kernelName returns $KERNEL, by default 6.1.
func kernelName() string {
	if kernel := os.Getenv("KERNEL"); kernel != "" {
		return kernel
	}
	return "6.1"
}

// isExcluded reports whether CTKEEPER_E2E_RUN does not match a scenario.
func isExcluded(name string) bool {
	matches, err := regexp.MatchString(os.Getenv("CTKEEPER_E2E_RUN"), name)
	return err == nil && !matches
}

func run(t *testing.T, machine *rig.Machine, guest rig.Guest, expected []string) {
	ctx, cancel := withDeadline(t)
	defer cancel()
	missing := map[string]bool{}
	for _, name := range expected {
		missing[name] = true
	}
	var stray []string
	boot := func() (rig.Run, error) {
		return machine.Boot(ctx, guest, func(out io.Reader) error {
			return rig.ReadOutcomes(out, func(o rig.Outcome) {
				delete(missing, o.Name)
				t.Run(o.Name, func(t *testing.T) { report(t, o) })
			}, func(line string) { stray = append(stray, line) })
		})
	}
	result, err := boot()
	for tries := 1; tries < maxBoots && result.HasEmulatorFault() && len(missing) > 0; tries++ {
		t.Logf("a fault of the emulator stopped the kernel (see %s); booting again for %d scenarios",
			result.Dir, len(missing))
		guest.Args = argumentsFor(slices.Sorted(maps.Keys(missing)))
		result, err = boot()
	}
	if err != nil {
		t.Error(err)
	}
	for _, name := range expected {
		if missing[name] {
			t.Run(name, func(t *testing.T) { t.Error("did not report: the guest ended before or during it") })
		}
	}
	if t.Failed() {
		t.Logf("output outside of scenarios:\n%s", strings.Join(stray, "\n"))
		t.Logf("end of the console:\n%s", result.Tail("console.log", 30))
	}
	t.Logf("console and journal of the guest: %s", result.Dir)
}

func report(t *testing.T, o rig.Outcome) {
	t.Logf("%s in the guest: %s\n%s", o.Result, o.Took, strings.Join(o.Log, "\n"))
	if o.Result != "PASS" {
		t.Fail()
	}
}

func withDeadline(t *testing.T) (context.Context, context.CancelFunc) {
	if deadline, ok := t.Deadline(); ok {
		return context.WithDeadline(context.Background(), deadline.Add(-reserve))
	}
	return context.WithCancel(context.Background())
}

// arguments returns the arguments with which the program runs the scenarios that match.
func arguments(pattern string) []string {
	return []string{"-test.v=test2json", "-test.timeout=0", "-test.run=" + pattern}
}

// argumentsFor returns those for scenarios by their names.
func argumentsFor(names []string) []string {
	return arguments("^(" + strings.Join(names, "|") + ")$")
}

// guestWithScenarios returns a guest with ctkeeper and the scenarios, and the names of the scenarios.
func guestWithScenarios(t *testing.T, dir string) (rig.Guest, []string) {
	program := filepath.Join(dir, "scenarios")
	buildScenarios(t, "guest", program)
	names := scenarioNames(t, program, ".")
	tree, helpers := filepath.Join(dir, "tree"), filepath.Join(dir, "helpers")
	if err := rig.Install("..", tree); err != nil {
		t.Fatal(err)
	}
	if err := rig.BuildHelpers("helpers", helpers); err != nil {
		t.Fatal(err)
	}
	return rig.Guest{
		Trees: map[string]string{tree: "/", helpers: rig.GuestDir},
		Files: map[string]string{
			"/etc/ctkeeper/ctkeeper.yaml":     bootConfig,
			"/etc/sysctl.d/70-conntrack.conf": bootSysctl,
			"/etc/apt/sources.list":           rig.AptSource,
		},
		Program: program,
		Enable:  []string{"ctkeeper.service"},
	}, names
}

// scenarioNames returns the scenarios of a program that match a pattern and CTKEEPER_E2E_RUN.
func scenarioNames(t *testing.T, program, pattern string) []string {
	t.Helper()
	names, err := rig.Command(".", program, "-test.list", pattern)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(strings.Fields(names), isExcluded)
}

// buildScenarios builds the program of the scenarios that a list of build tags selects.
func buildScenarios(t *testing.T, tags, program string) {
	t.Helper()
	_, err := rig.Command(".", "go", "test", "-c", "-tags", tags, "-trimpath", "-o", program, "./scenarios")
	if err != nil {
		t.Fatal(err)
	}
}

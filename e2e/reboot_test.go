//go:build e2e

package e2e

import (
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/ctkeeper/ctkeeper/e2e/rig"
)

// hardening is a sysctl file that keeps the kernel from loading modules, as hardening guides recommend it.
const (
	hardeningFile = "/etc/sysctl.d/99-hardening.conf"
	hardening     = "kernel.kptr_restrict = 2\nkernel.modules_disabled = 1\n"
)

// TestReboot boots a host whose kernel loads no modules, runs the doctor's fix, which takes effect at the next boot,
// and boots it again with the file that the fix changed.
func TestReboot(t *testing.T) {
	if isExcluded("TestModulesDisabled") {
		t.Skip("CTKEEPER_E2E_RUN does not match TestModulesDisabled")
	}
	runBesideOthers(t)
	machine, err := rig.Prepare(kernelName(), rig.Root{})
	if err != nil {
		t.Fatal(err)
	}
	guest := rebootGuest(t)
	guest.Files[hardeningFile] = hardening
	first := bootFor(t, machine, guest, "TestModulesDisabled")
	fixed := ""
	for _, line := range first.Log {
		if _, quoted, found := strings.Cut(line, "FIXED "); found {
			if fixed, err = strconv.Unquote(strings.TrimSpace(quoted)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !strings.Contains(fixed, "kptr_restrict = 2\n") {
		t.Fatalf("the fix removed another setting from the file: %q", fixed)
	}
	guest.Files[hardeningFile] = fixed
	bootFor(t, machine, guest, "TestAfterReboot")
}

// bootFor boots the guest for one scenario, which must pass.
func bootFor(t *testing.T, machine *rig.Machine, guest rig.Guest, name string) rig.Outcome {
	t.Helper()
	outcome := tryBootFor(t, machine, guest, name)
	if outcome.Result != "PASS" {
		t.FailNow()
	}
	return outcome
}

// tryBootFor boots the guest for one scenario, and again if a fault of the emulator stopped it. If the scenario did not
// end, the log is what it printed until then.
func tryBootFor(t *testing.T, machine *rig.Machine, guest rig.Guest, name string) rig.Outcome {
	t.Helper()
	ctx, cancel := withDeadline(t)
	defer cancel()
	guest.Args = arguments("^" + name + "$")
	var outcome rig.Outcome
	var printed []string
	var result rig.Run
	var err error
	for tries := 0; tries == 0 || tries < maxBoots && outcome.Name == "" && result.HasEmulatorFault(); tries++ {
		result, err = machine.Boot(ctx, guest, func(out io.Reader) error {
			return rig.ReadOutcomes(out, func(o rig.Outcome) { outcome = o },
				func(line string) { printed = append(printed, line) })
		})
	}
	if outcome.Name == "" {
		outcome.Log = printed
	}
	t.Run(name, func(t *testing.T) { report(t, outcome) })
	if err != nil || outcome.Result != "PASS" {
		t.Errorf("%s did not pass: %v; console and journal: %s\n%s",
			name, err, result.Dir, result.Tail("console.log", 20))
	}
	return outcome
}

// rebootGuest returns a host on which the service loads the module.
func rebootGuest(t *testing.T) rig.Guest {
	t.Helper()
	dir := t.TempDir()
	program, tree := filepath.Join(dir, "scenarios"), filepath.Join(dir, "tree")
	buildScenarios(t, "guest,reboot", program)
	if err := rig.Install("..", tree); err != nil {
		t.Fatal(err)
	}
	return rig.Guest{
		Trees:   map[string]string{tree: "/"},
		Files:   map[string]string{"/etc/ctkeeper/ctkeeper.yaml": rebootConfig},
		Program: program,
		Enable:  []string{"ctkeeper.service"},
	}
}

// rebootConfig equals the constant loading of the scenarios.
const rebootConfig = `settings:
  max: 300000
  hashsize: 100000
  expect_max: 4096
  tcp_timeout_established: 2h
enforcement:
  resync: 60s
module:
  load: true
`

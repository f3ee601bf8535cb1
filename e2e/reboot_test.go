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

// hardening is the file that closes the kernel to modules, as guides for
// hardening have it.
const (
	hardeningFile = "/etc/sysctl.d/99-hardening.conf"
	hardening     = "kernel.kptr_restrict = 2\nkernel.modules_disabled = 1\n"
)

// TestReboot boots a host whose kernel takes no modules, has the doctor mend it, which takes
// a reboot, and boots it again with the file that the doctor mended.
func TestReboot(t *testing.T) {
	if skipped("TestModulesDisabled") {
		t.Skip("CTKEEPER_E2E_RUN asks for others")
	}
	machine, err := rig.Prepare(kernelName())
	if err != nil {
		t.Fatal(err)
	}
	guest := rebootGuest(t)
	guest.Files[hardeningFile] = hardening
	first := alone(t, machine, guest, "TestModulesDisabled")
	mended := ""
	for _, line := range first.Log {
		if _, quoted, found := strings.Cut(line, "MENDED "); found {
			if mended, err = strconv.Unquote(strings.TrimSpace(quoted)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !strings.Contains(mended, "kptr_restrict = 2\n") {
		t.Fatalf("the mended file has lost what was none of its business: %q", mended)
	}
	guest.Files[hardeningFile] = mended
	alone(t, machine, guest, "TestAfterReboot")
}

// alone boots the guest for one scenario, again where the emulator failed it.
func alone(t *testing.T, machine *rig.Machine, guest rig.Guest, name string) rig.Outcome {
	t.Helper()
	ctx, cancel := withDeadline(t)
	defer cancel()
	guest.Args = arguments("^" + name + "$")
	var outcome rig.Outcome
	var result rig.Run
	var err error
	for tries := 0; tries == 0 || tries < boots && outcome.Name == "" && result.EmulatorFault(); tries++ {
		result, err = machine.Boot(ctx, guest, func(out io.Reader) error {
			return rig.Outcomes(out, func(o rig.Outcome) { outcome = o }, func(string) {})
		})
	}
	t.Run(name, func(t *testing.T) { report(t, outcome) })
	if err != nil || outcome.Result != "PASS" {
		t.Fatalf("%s did not pass: %v; console and journal: %s\n%s", name, err, result.Dir, result.Last("console.log", 20))
	}
	return outcome
}

// rebootGuest is a host whose service is to load the module.
func rebootGuest(t *testing.T) rig.Guest {
	t.Helper()
	dir := t.TempDir()
	program, tree := filepath.Join(dir, "scenarios"), filepath.Join(dir, "tree")
	if _, err := rig.Command(".", "go", "test", "-c", "-tags", "guest,reboot", "-trimpath", "-o", program, "./scenarios"); err != nil {
		t.Fatal(err)
	}
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

// rebootConfig is the configuration named loading in the scenarios.
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

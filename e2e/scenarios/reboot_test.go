//go:build guest && reboot

package scenarios

import (
	"os"
	"strings"
	"testing"

	"github.com/ctkeeper/ctkeeper/host/change"
)

// The two scenarios of TestReboot in ../reboot_test.go. Each has a machine of its own, because the kernel of the
// first cannot load modules until it is rebooted.

// TestModulesDisabled: a file in sysctl.d disabled module loading at boot. The doctor reports it, and its fix ends
// with a reboot.
func TestModulesDisabled(t *testing.T) {
	if got := strings.TrimSpace(run(t, "cat", "/proc/sys/kernel/modules_disabled")); got != "1" {
		t.Fatalf("modules_disabled is %s", got)
	}
	eventually(t, bootTime, "the unit is active", func() bool { return isActive(t) })
	if isLoaded() {
		t.Fatal("the module was loaded although modules_disabled is 1")
	}
	report, code := runDoctor(t)
	fix := mustFind(t, report, code, "modules-disabled").Fix
	if len(fix) < 2 || !fix[len(fix)-1].Equal(change.Run("systemctl", "reboot")) {
		t.Fatalf("the fix does not end with a reboot: %v", fix)
	}
	for _, step := range fix[:len(fix)-1] {
		takeStep(t, step)
	}
	content, err := os.ReadFile("/etc/sysctl.d/99-hardening.conf")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("FIXED %q", content) // for the second boot, because this root is in memory
	takeStep(t, fix[len(fix)-1])
}

// TestAfterReboot: the same host after the fix.
func TestAfterReboot(t *testing.T) {
	if got := strings.TrimSpace(run(t, "cat", "/proc/sys/kernel/modules_disabled")); got != "0" {
		t.Errorf("modules_disabled is %s", got)
	}
	eventually(t, bootTime, "the unit is active", func() bool { return isActive(t) })
	checkLoaded(t)
	checkHealthy(t)
}

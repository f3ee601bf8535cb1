//go:build guest && reboot

package scenarios

import (
	"os"
	"strings"
	"testing"
)

// The two halves of TestReboot in ../reboot_test.go. They have a machine to
// themselves, because the first leaves a kernel that loads no module ever again.

// TestModulesDisabled: the host's sysctl.d closed the kernel to modules at boot. The
// doctor says so, and its commands end in a reboot.
func TestModulesDisabled(t *testing.T) {
	if got := strings.TrimSpace(run(t, "cat", "/proc/sys/kernel/modules_disabled")); got != "1" {
		t.Fatalf("modules_disabled is %s", got)
	}
	eventually(t, prompt, "the unit is active, and waits", func() bool { return active(t) })
	if loaded() {
		t.Fatal("loaded into a closed kernel")
	}
	report, code := examine(t)
	fix := mustFind(t, report, code, "modules-disabled").Fix
	if len(fix) < 2 || fix[len(fix)-1] != "systemctl reboot" {
		t.Fatalf("the fix does not end in a reboot: %q", fix)
	}
	for _, command := range fix[:len(fix)-1] {
		t.Logf("# %s\n%s", command, run(t, "sh", "-ec", command))
	}
	content, err := os.ReadFile("/etc/sysctl.d/99-hardening.conf")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("FIXED %q", content) // for the second boot: this root is in memory
	t.Logf("# %s\n%s", fix[len(fix)-1], run(t, "sh", "-ec", fix[len(fix)-1]))
}

// TestAfterReboot: the same host, with the file as it was mended.
func TestAfterReboot(t *testing.T) {
	if got := strings.TrimSpace(run(t, "cat", "/proc/sys/kernel/modules_disabled")); got != "0" {
		t.Errorf("modules_disabled is %s", got)
	}
	eventually(t, prompt, "the unit is active", func() bool { return active(t) })
	expectLoaded(t)
	healthy(t)
}

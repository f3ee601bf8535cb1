//go:build e2e

package e2e

import (
	"os"
	"testing"

	"github.com/ctkeeper/ctkeeper/e2e/rig"
)

// guardBootConfig watches, with a resync so long that only the guard explains a prompt repair
// of what a container writes.
const guardBootConfig = `settings:
  max: 300000
enforcement:
  resync: 60s
module:
  load: true
guard: watch
`

// TestGuardAtBoot boots hosts on which the guard can do less, or nothing, because of how the
// kernel was started: what is told there, and that the settings are kept all the same.
func TestGuardAtBoot(t *testing.T) {
	ran := 0
	for name, kernel := range map[string]string{
		"TestGuardUnderLockdown": "lockdown=confidentiality",
		"TestGuardHybridCgroups": "systemd.unified_cgroup_hierarchy=0",
		"TestGuardLegacyCgroups": "systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=1",
	} {
		if skipped(name) {
			continue
		}
		ran++
		machine, err := rig.Prepare(kernelName())
		if err != nil {
			t.Fatal(err)
		}
		guest := rebootGuest(t)
		guest.Kernel = kernel
		guest.Files["/etc/ctkeeper/ctkeeper.yaml"] = guardBootConfig
		for _, dropIn := range []string{"guard.conf", "guard-perfmon.conf"} {
			content, err := os.ReadFile("../systemd/" + dropIn)
			if err != nil {
				t.Fatal(err)
			}
			guest.Files["/etc/systemd/system/ctkeeper.service.d/"+dropIn] = string(content)
		}
		alone(t, machine, guest, name)
	}
	if ran == 0 {
		t.Skip("CTKEEPER_E2E_RUN asks for others")
	}
}

//go:build e2e

package e2e

import (
	"os"
	"testing"

	"github.com/ctkeeper/ctkeeper/e2e/rig"
)

// guardBootConfig has the guard watch. The resync is so long that a prompt repair of a container's write is due to
// the guard.
const guardBootConfig = `settings:
  max: 300000
enforcement:
  resync: 60s
module:
  load: true
guard: watch
`

// TestGuardAtBoot boots hosts whose kernel command line leaves the guard with less to do, or nothing. The scenarios
// test what is reported there, and that settings are repaired all the same.
func TestGuardAtBoot(t *testing.T) {
	runBesideOthers(t)
	ran := 0
	for name, kernel := range map[string]string{
		"TestGuardUnderLockdown": "lockdown=confidentiality",
		"TestGuardHybridCgroups": "systemd.unified_cgroup_hierarchy=0",
		"TestGuardLegacyCgroups": "systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=1",
	} {
		if isExcluded(name) {
			continue
		}
		ran++
		machine, err := rig.Prepare(kernelName(), rig.Root{})
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
		bootFor(t, machine, guest, name)
	}
	if ran == 0 {
		t.Skip("CTKEEPER_E2E_RUN matches none of these")
	}
}

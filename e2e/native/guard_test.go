//go:build native

package native

import (
	"strings"
	"testing"
)

// TestGuardOfStoppedService turns the guard on where a unit's drop-in forbids bpf(2). Afterwards the service is stopped
// again. TestGuardOnPutsBack of e2e/scenarios has a service that runs.
func TestGuardOfStoppedService(t *testing.T) {
	m := Boot(t, "bookworm")
	m.install(buildAfter(t))
	m.Write("/etc/systemd/system/ctkeeper.service.d/zz-site.conf", "[Service]\nSystemCallFilter=~bpf\n")
	m.Must("systemctl daemon-reload && systemctl stop ctkeeper")
	output, status := m.Run("ctkeeper guard on")
	if status != 1 || !strings.Contains(output, "the guard is not in effect, all files are put back: ") {
		t.Errorf("exit status %d:\n%s", status, output)
	}
	m.expect("systemctl is-active ctkeeper", "inactive")
	m.expect("ls /etc/systemd/system/ctkeeper.service.d /etc/ctkeeper/conf.d",
		"/etc/ctkeeper/conf.d:\n\n/etc/systemd/system/ctkeeper.service.d:\nzz-site.conf")
}

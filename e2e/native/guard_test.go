//go:build native

package native

import (
	"strings"
	"testing"
)

// TestGuardCannotBeOn turns the guard on where a unit's drop-in forbids bpf(2). Everything is as before then, also a
// service that did not run.
func TestGuardCannotBeOn(t *testing.T) {
	m := Boot(t, "bookworm")
	m.install(buildAfter(t))
	m.Write("/etc/systemd/system/ctkeeper.service.d/zz-site.conf", "[Service]\nSystemCallFilter=~bpf\n")
	m.Must("systemctl daemon-reload")
	for _, state := range []string{"active", "inactive"} {
		if state == "inactive" {
			m.Must("systemctl stop ctkeeper")
		}
		output, status := m.Run("ctkeeper guard on")
		if status != 1 || !strings.Contains(output, "the guard is not in effect, all files are put back: ") {
			t.Errorf("%s: exit status %d:\n%s", state, status, output)
		}
		m.expect("systemctl is-active ctkeeper", state)
		m.expect("ls /etc/systemd/system/ctkeeper.service.d /etc/ctkeeper/conf.d",
			"/etc/ctkeeper/conf.d:\n\n/etc/systemd/system/ctkeeper.service.d:\nzz-site.conf")
	}
}

//go:build native

package native

import (
	"strings"
	"testing"
)

// TestTools runs what a new user runs first, and what one in need runs, with each systemd.
func TestTools(t *testing.T) {
	forEachSuite(t, func(t *testing.T, m *Machine) {
		m.offer(buildAfter(t))
		m.Must("apt-get -q install ctkeeper")
		m.Write("/etc/sysctl.d/50-site.conf", "net.netfilter.nf_conntrack_udp_timeout = 77\n")
		const line = "\n  udp_timeout: 77  # /etc/sysctl.d/50-site.conf:1"
		if got := m.Must("ctkeeper init"); !strings.Contains(got, line) {
			t.Errorf("init:\n%s", got)
		}
		m.Must("ctkeeper init --write")
		m.Must("ctkeeper config check")
		m.waitForValue()

		const restart = "systemctl restart ctkeeper.service"
		if got := m.Must("ctkeeper guard on --dry-run"); !strings.Contains(got, restart) {
			t.Errorf("guard on --dry-run:\n%s", got)
		}
		pid := m.property("MainPID")
		output, status := m.Run("ctkeeper guard on")
		t.Logf("guard on: %d\n%s", status, output)
		state := m.Must("ctkeeper guard status; ctkeeper status -o json | grep '\"mode\"'")
		if status == 0 != strings.Contains(state, "mode:    watch") || m.property("MainPID") == pid {
			t.Errorf("guard on: exit status %d, %s", status, state)
		}
		m.Must("ctkeeper guard off")
		m.expect("ls /etc/systemd/system/ctkeeper.service.d /etc/ctkeeper/conf.d", "/etc/ctkeeper/conf.d:\n\n"+
			"/etc/systemd/system/ctkeeper.service.d:")
		m.expect("systemctl is-active ctkeeper", "active")

		m.Write("/etc/systemd/system/ctkeeper.service.d/x.conf", "[Service]\nEnvironment=PASSWORD=hunter2\n")
		m.Must("systemctl daemon-reload")
		m.Must("cd /root && ctkeeper support && tar -xzf ctkeeper-support-*.tar.gz")
		m.expect("stat -c %a /root/ctkeeper-support-*.tar.gz", "600")
		m.expect("grep -l hunter2 -r /root/ctkeeper-support-*/", "")
		m.expect("cd /root/ctkeeper-support-*/ && grep -c '^ActiveState=active' unit-state.txt && "+
			"grep -c 'ExecStart=/usr/bin/ctkeeper run' unit.txt && grep -o -m1 'configuration loaded' journal.txt",
			"1\n1\nconfiguration loaded")
	})
}

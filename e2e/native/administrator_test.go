//go:build native

package native

import (
	"strings"
	"testing"
)

// TestAdministrator: what an administrator decided about the unit survives an upgrade.
func TestAdministrator(t *testing.T) {
	for _, test := range []struct{ name, command, enabled string }{
		{"disabled", "systemctl disable --now ctkeeper", "disabled"},
		{"masked", "systemctl disable --now ctkeeper && systemctl mask ctkeeper", "masked"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m := Boot(t, "bookworm")
			m.install(buildBefore(t))
			m.Must(test.command)
			m.upgrade(buildAfter(t))
			m.expect("systemctl is-enabled ctkeeper", test.enabled)
			m.expect("systemctl is-active ctkeeper", "inactive")
			m.expect("dpkg-query -W -f '${Version} ${Status}' ctkeeper", newVersion+"-1 install ok installed")
		})
	}
}

// TestPolicy: policy-rc.d, by which image builders keep packages from starting services, is obeyed.
// TestRefusedConfiguration upgrades while the configuration is refused: the daemon that has the last valid one goes on,
// and a daemon that does not run is not kept from it.
func TestRefusedConfiguration(t *testing.T) {
	t.Parallel()
	m := Boot(t, "bookworm")
	m.install(buildBefore(t))
	pid := m.property("MainPID")
	m.Write("/etc/ctkeeper/conf.d/50-broken.yaml", "settings: {mx: 1}\n")
	m.upgrade(buildAfter(t))
	if got := m.property("MainPID"); got != pid {
		t.Errorf("the daemon was restarted: pid %s, before %s", got, pid)
	}
	m.Must("rm /etc/ctkeeper/conf.d/50-broken.yaml && systemctl restart ctkeeper")
	m.expectRunning(newVersion)
}

func TestPolicy(t *testing.T) {
	m := Boot(t, "bookworm")
	const policy = "/usr/sbin/policy-rc.d"
	m.Write(policy, "#!/bin/sh\nexit 101\n")
	m.Must("chmod 755 " + policy)
	m.offer(buildAfter(t))
	m.Must("apt-get -q install ctkeeper")
	m.expect("systemctl is-active ctkeeper", "inactive")
	m.expect("systemctl is-enabled ctkeeper", "enabled")
}

// TestInterrupted kills the script after installation at several places. `dpkg --configure -a` is then enough.
func TestInterrupted(t *testing.T) {
	m := Boot(t, "bookworm")
	for i, command := range []string{"systemd-sysusers", "deb-systemd-helper", "deb-systemd-invoke"} {
		b := []build{buildBefore(t), buildAfter(t)}[min(i, 1)]
		// The scripts find this first, and its parent is the script.
		fake := "/srv/bin/" + command
		m.Write(fake, "#!/bin/sh\nkill -KILL $PPID\n")
		m.Must("chmod 755 " + fake)
		m.offer(b)
		output, status := m.Run("PATH=/srv/bin:$PATH dpkg --install " + archive + "/ctkeeper_*.deb")
		if status == 0 || !strings.Contains(output, "Killed") && !strings.Contains(output, "killed") {
			t.Fatalf("%s did not kill the script:\n%s", fake, output)
		}
		m.expect("dpkg-query -W -f '${Status}' ctkeeper", "install ok half-configured")
		m.Must("rm " + fake)
		m.Must("dpkg --configure -a")
		m.expectRunning([]string{oldVersion, newVersion}[min(i, 1)])
	}
}

// TestExporter installs, runs and purges the exporter's package, and upgrades it while it runs.
func TestExporter(t *testing.T) {
	m := Boot(t, "bookworm")
	m.install(buildAfter(t))
	before := takeSnapshot(m)
	m.Must("apt-get -q install ctkeeper-exporter")
	m.expect("systemctl is-enabled ctkeeper-exporter", "disabled")
	m.expect("systemctl is-active ctkeeper-exporter", "inactive")
	m.Must("systemctl enable --now ctkeeper-exporter")
	expectMetrics(t, m, newVersion)
	m.Must("apt-get -q purge ctkeeper-exporter")
	m.expect("pgrep ctkeeper-export", "")
	takeSnapshot(m).compare(t, before, kept)

	m.offer(buildBefore(t))
	m.Must("apt-get -q -o Dpkg::Options::=--force-confold install --allow-downgrades " +
		"ctkeeper=" + oldVersion + "-1 ctkeeper-exporter")
	m.Must("systemctl start ctkeeper-exporter")
	expectMetrics(t, m, oldVersion)
	m.upgrade(buildAfter(t))
	m.expect("systemctl is-active ctkeeper-exporter", "active")
	m.expect("systemctl is-enabled ctkeeper-exporter", "disabled")
	expectMetrics(t, m, newVersion)
}

// expectMetrics scrapes the exporter, which has to be of a version and to reach the daemon.
func expectMetrics(t *testing.T, m *Machine, version string) {
	t.Helper()
	m.Write("/srv/scrape", `exec 3<>/dev/tcp/127.0.0.1/9466
printf 'GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3
cat <&3
`)
	metrics := m.WaitFor(soon, "bash /srv/scrape | grep ^ctkeeper_")
	if !strings.Contains(metrics, "\nctkeeper_up 1\n") || !strings.Contains(metrics, `version="`+version+`"`) {
		t.Errorf("metrics are not those of version %s with a daemon:\n%s", version, metrics)
	}
}

//go:build native

package native

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/ctkeeper/ctkeeper/e2e/debs"
	"github.com/ctkeeper/ctkeeper/e2e/rig"
)

// rpm installs beside dpkg. The packages that ours need are not in its database.
const rpm = "rpm --force-debian --nodeps "

// buildRPMs makes the rpms of a version in a copy of the sources, and returns their directory.
func buildRPMs(t *testing.T, version string) string {
	t.Helper()
	tree := t.TempDir()
	if err := debs.Copy("../..", tree); err != nil {
		t.Fatal(err)
	}
	_, err := rig.Command(tree, "make", "packages", "VERSION="+version, "ARCHES=amd64", "FORMATS=rpm")
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(tree, "dist")
}

// TestRPM is the life of the rpms under Debian's rpm and systemd, where scriptlets run as on a distribution with rpm.
func TestRPM(t *testing.T) {
	m := Boot(t, "bookworm", "rpm")
	m.Copy(buildRPMs(t, "0.1.0"), "/srv/old")
	m.Copy(buildRPMs(t, "0.1.1"), "/srv/new")
	m.Write("/usr/lib/systemd/system-preset/99-default-disable.preset", "disable *\n") // as on Fedora

	m.Must(rpm + "-i /srv/old/*.rpm")
	is := func(command, want string) {
		t.Helper()
		if got, _ := m.Run(command); strings.TrimSpace(got) != want {
			t.Errorf("%s: %q, want %q", command, strings.TrimSpace(got), want)
		}
	}
	is("rpm -V --nodeps ctkeeper ctkeeper-exporter", "")
	is("systemctl is-enabled ctkeeper ctkeeper-exporter", "disabled\ndisabled")
	is("systemctl is-active ctkeeper", "inactive")
	is("stat -c %U:%G:%a /run/ctkeeper", "root:ctkeeper:1775")
	is("journalctl --list-catalog | grep -c ctkeeper | sed 's/^[1-9].*/some/'", "some")

	const settings = "settings: {udp_timeout: 77}\n"
	m.Write("/etc/ctkeeper/ctkeeper.yaml", settings)
	m.Must("systemctl enable --now ctkeeper ctkeeper-exporter")
	const value = "cat /proc/sys/net/netfilter/nf_conntrack_udp_timeout"
	is(value, "77")
	// A boot file that a host whose kernel has conntrack built in can have, too.
	m.Must("ctkeeper persist --udev && test -s /etc/sysctl.d/90-ctkeeper.conf")
	pid := m.Must("systemctl show --value -p MainPID ctkeeper")

	m.Must(rpm + "-U /srv/new/*.rpm")
	is("systemctl is-active ctkeeper ctkeeper-exporter", "active\nactive")
	is("systemctl show --value -p NRestarts ctkeeper", "0")
	if now := m.Must("systemctl show --value -p MainPID ctkeeper"); now == pid {
		t.Error("the upgrade did not restart ctkeeper")
	}
	is(`/proc/$(systemctl show --value -p MainPID ctkeeper)/exe --version | cut -d' ' -f2`, "0.1.1")
	is("cat /etc/ctkeeper/ctkeeper.yaml", strings.TrimSpace(settings))
	is("rpm -V --nodeps ctkeeper ctkeeper-exporter | grep -v ' c /etc/ctkeeper/ctkeeper.yaml'", "")

	m.Must("rpm --force-debian -e ctkeeper-exporter ctkeeper")
	is("systemctl show --value -p LoadState ctkeeper ctkeeper-exporter", "not-found\n\nnot-found")
	is("pgrep -x ctkeeper", "")
	is(value, "77")
	is("find /usr /etc -name '*ctkeeper*' ! -path '/etc/ctkeeper*'", "")
	is("cat /etc/ctkeeper/ctkeeper.yaml.rpmsave", strings.TrimSpace(settings))

	m.Write("/etc/systemd/system-preset/10-site.preset", "enable ctkeeper.service\n")
	m.Must(rpm + "-i /srv/new/*.rpm")
	is("systemctl is-enabled ctkeeper ctkeeper-exporter", "enabled\ndisabled")
}

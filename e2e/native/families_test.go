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

// buildPackages makes the packages of a format and a version in a copy of the sources, and returns their directory.
func buildPackages(t *testing.T, format, version string) string {
	t.Helper()
	tree := t.TempDir()
	if err := debs.Copy("../..", tree); err != nil {
		t.Fatal(err)
	}
	_, err := rig.Command(tree, "make", "packages", "VERSION="+version, "ARCHES=amd64", "FORMATS="+format)
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(tree, "dist")
}

// TestRPM is the life of the rpms under Debian's rpm and systemd, where scriptlets run as on a distribution with rpm.
func TestRPM(t *testing.T) {
	m := Boot(t, "bookworm", "rpm")
	m.Copy(buildPackages(t, "rpm", "0.1.0"), "/srv/old")
	m.Copy(buildPackages(t, "rpm", "0.1.1"), "/srv/new")
	m.Write("/usr/lib/systemd/system-preset/99-default-disable.preset", "disable *\n") // as on Fedora

	m.Must(rpm + "-i /srv/old/*.rpm")
	m.expect("rpm -V --nodeps ctkeeper ctkeeper-exporter", "")
	m.expect("systemctl is-enabled ctkeeper ctkeeper-exporter", "disabled\ndisabled")
	m.expect("systemctl is-active ctkeeper", "inactive")
	m.expect("stat -c %U:%G:%a /run/ctkeeper", "root:ctkeeper:1775")
	m.expect("journalctl --list-catalog | grep -c ctkeeper | sed 's/^[1-9].*/some/'", "some")

	const settings = "settings: {udp_timeout: 77}\n"
	m.Write("/etc/ctkeeper/ctkeeper.yaml", settings)
	m.Must("systemctl enable --now ctkeeper ctkeeper-exporter")
	const value = "cat /proc/sys/net/netfilter/nf_conntrack_udp_timeout"
	m.expect(value, "77")
	// A boot file that a host whose kernel has conntrack built in can have, too.
	m.Must("ctkeeper persist --udev && test -s /etc/sysctl.d/90-ctkeeper.conf")
	pid := m.Must("systemctl show --value -p MainPID ctkeeper")

	m.Must(rpm + "-U /srv/new/*.rpm")
	m.expect("systemctl is-active ctkeeper ctkeeper-exporter", "active\nactive")
	m.expect("systemctl show --value -p NRestarts ctkeeper", "0")
	if now := m.Must("systemctl show --value -p MainPID ctkeeper"); now == pid {
		t.Error("the upgrade did not restart ctkeeper")
	}
	m.expect(`/proc/$(systemctl show --value -p MainPID ctkeeper)/exe --version | cut -d' ' -f2`, "0.1.1")
	m.expect("cat /etc/ctkeeper/ctkeeper.yaml", strings.TrimSpace(settings))
	m.expect("rpm -V --nodeps ctkeeper ctkeeper-exporter | grep -v ' c /etc/ctkeeper/ctkeeper.yaml'", "")

	m.Must("rpm --force-debian -e ctkeeper-exporter ctkeeper")
	m.expect("systemctl show --value -p LoadState ctkeeper ctkeeper-exporter", "not-found\n\nnot-found")
	m.expect("pgrep -x ctkeeper", "")
	m.expect(value, "77")
	m.expect("find /usr /etc -name '*ctkeeper*' ! -path '/etc/ctkeeper*'", "")
	m.expect("cat /etc/ctkeeper/ctkeeper.yaml.rpmsave", strings.TrimSpace(settings))

	m.Write("/etc/systemd/system-preset/10-site.preset", "enable ctkeeper.service\n")
	m.Must(rpm + "-i /srv/new/*.rpm")
	m.expect("systemctl is-enabled ctkeeper ctkeeper-exporter", "enabled\ndisabled")
}

// TestPacman is the life of the packages of Arch Linux under Debian's pacman. On Arch Linux, hooks of the package
// systemd create the user and reload systemd; Debian's pacman has none.
func TestPacman(t *testing.T) {
	m := Boot(t, "bookworm", "pacman-package-manager", "zstd")
	m.Copy(buildPackages(t, "archlinux", "0.1.0"), "/srv/old")
	m.Copy(buildPackages(t, "archlinux", "0.1.1"), "/srv/new")
	m.Must("ln -sf bash /bin/sh") // as on Arch Linux: nfpm writes the scripts as functions of bash
	const pacman = "pacman --noconfirm -dd "
	said := m.Must(pacman + "-U /srv/old/*.pkg.tar.zst")
	if strings.Contains(said, "warning:") || strings.Contains(said, "error:") {
		t.Errorf("pacman -U says %s", said)
	}
	if want := "systemctl enable --now ctkeeper"; !strings.Contains(said, want) {
		t.Errorf("pacman -U says %q, want %q", said, want)
	}
	m.Must("systemd-sysusers && systemd-tmpfiles --create ctkeeper.conf && systemctl daemon-reload")
	m.expect("systemctl is-enabled ctkeeper ctkeeper-exporter", "disabled\ndisabled")
	m.Must("systemctl enable --now ctkeeper ctkeeper-exporter")
	const settings = "settings: {udp_timeout: 77}\n"
	m.Write("/etc/ctkeeper/ctkeeper.yaml", settings)
	m.Must("ctkeeper persist --udev && test -s /etc/sysctl.d/90-ctkeeper.conf")

	m.Must(pacman + "-U /srv/new/*.pkg.tar.zst")
	m.expect("cat /etc/ctkeeper/ctkeeper.yaml", strings.TrimSpace(settings))
	m.expect("pacman -Qkk ctkeeper-exporter | grep -c '0 altered files'", "1")
	m.Must("systemctl restart ctkeeper")

	m.Must(pacman + "-R ctkeeper-exporter ctkeeper")
	m.expect("pgrep -x ctkeeper", "")
	m.expect("find /usr /etc -name '*ctkeeper*' ! -path '/etc/ctkeeper*'", "")
	m.expect("cat /etc/ctkeeper/ctkeeper.yaml.pacsave", strings.TrimSpace(settings))
}

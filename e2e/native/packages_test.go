//go:build native

package native

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	// udpTimeout is a setting of a network namespace, and wanted the value that config gives it, in seconds.
	udpTimeout = "/proc/sys/net/netfilter/nf_conntrack_udp_timeout"
	wanted     = "77\n"
	config     = "# Mine.\nsettings:\n  udp_timeout: 77\n"
	configFile = "/etc/ctkeeper/ctkeeper.yaml"

	// archive is the machine's directory for the packages of a build.
	archive = "/srv/archive"

	soon = 10 * time.Second
)

// offer makes the packages of a build those that apt can install.
func (m *Machine) offer(b build) {
	m.t.Helper()
	m.Must("rm -rf " + archive)
	m.Copy(b.archive, archive)
	m.Write("/etc/apt/sources.list", "deb [trusted=yes] file:"+archive+" ./\n")
	m.Must("apt-get -q update")
}

// install installs a build's ctkeeper, with a configuration that this machine can satisfy.
func (m *Machine) install(b build) {
	m.t.Helper()
	m.offer(b)
	m.Must("apt-get -q install ctkeeper")
	m.Write(configFile, config)
	m.waitForValue()
}

// upgrade upgrades to a build. A configuration file that the administrator changed stays, as an apt that nobody
// watches has to be told.
func (m *Machine) upgrade(b build) {
	m.t.Helper()
	m.offer(b)
	m.Must("apt-get -q -o Dpkg::Options::=--force-confold upgrade")
}

func (m *Machine) waitForValue() {
	m.t.Helper()
	m.WaitFor(soon, "test $(cat "+udpTimeout+") = "+wanted)
}

// property returns a property of ctkeeper.service.
func (m *Machine) property(name string) string {
	m.t.Helper()
	return strings.TrimSpace(m.Must("systemctl show --value -p " + name + " ctkeeper"))
}

// expect reports what a command prints, if that is not as wanted. The exit status does not count: that of
// `systemctl is-enabled` says the same as its output.
func (m *Machine) expect(command, want string) {
	m.t.Helper()
	if got, _ := m.Run(command); strings.TrimSpace(got) != want {
		m.t.Errorf("%s: %s, want %s", command, got, want)
	}
}

func (m *Machine) expectRunning(version string) {
	m.t.Helper()
	m.expect("systemctl is-active ctkeeper", "active")
	m.expect("systemctl is-enabled ctkeeper", "enabled")
	m.expect("systemctl show --value -p NRestarts ctkeeper", "0")
	// Until the daemon listens, status reads the kernel and reports the version of the command.
	m.WaitFor(soon, "ctkeeper status -o json | grep -q '\"running\": *true'")
	m.expect(`ctkeeper status -o json | sed -n 's/.*"version": *"\([^"]*\)".*/\1/p'`, version)
}

func forEachSuite(t *testing.T, test func(t *testing.T, m *Machine)) {
	for _, suite := range Suites {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			test(t, Boot(t, suite))
		})
	}
}

// TestPackage is the whole life of the package on a host: installed, upgraded, removed, installed again, purged.
func TestPackage(t *testing.T) {
	forEachSuite(t, func(t *testing.T, m *Machine) {
		before := takeSnapshot(m)
		m.offer(buildBefore(t))
		m.Must("apt-get -q install ctkeeper")
		m.expectRunning(oldVersion)
		testUnit(t, m)
		m.Write(configFile, config)
		m.waitForValue()
		m.Must("ctkeeper status")

		testUpgrade(t, m)

		m.Must("apt-get -q remove ctkeeper")
		m.expect("systemctl show --value -p LoadState ctkeeper", "not-found")
		m.expect("pgrep -x ctkeeper", "")
		m.expect("cat "+udpTimeout, strings.TrimSpace(wanted))
		m.expect("cat "+configFile, strings.TrimSpace(config))
		m.Must("test -s /var/lib/ctkeeper/events.jsonl")

		m.Must("echo 30 >" + udpTimeout)
		m.Must("apt-get -q install ctkeeper")
		m.expectRunning(newVersion)
		m.waitForValue()
		m.Must("mkdir /srv/guard && ctkeeper guard on --perfmon --root /srv/guard && cp -r /srv/guard/etc / && " +
			"systemctl daemon-reload && systemctl restart ctkeeper && ctkeeper persist")
		m.expectRunning(newVersion)

		m.Must("apt-get -q purge ctkeeper")
		m.expect("cat "+udpTimeout, strings.TrimSpace(wanted))
		takeSnapshot(m).compare(t, before, kept)

		m.Must("apt-get -q install ctkeeper")
		m.expectRunning(newVersion)
	})
}

// testUnit checks what systemd says of the unit.
func testUnit(t *testing.T, m *Machine) {
	t.Helper()
	// The root has no man. systemd 247 has no PrivateIPC=, and complains of control groups of its own.
	m.expect("systemd-analyze verify --man=no ctkeeper.service 2>&1 | grep -v -e \"Unknown key name 'PrivateIPC'\" "+
		"-e 'move remaining userspace processes'", "")
	report := m.Must("systemd-analyze security --no-pager ctkeeper.service")
	level := regexp.MustCompile(`Overall exposure level for ctkeeper.service: ([0-9.]+)`).FindStringSubmatch(report)
	if level == nil {
		t.Fatalf("no exposure level in:\n%s", report)
	}
	if value, err := strconv.ParseFloat(level[1], 64); err != nil || value > maxExposure {
		t.Errorf("%s, at most %.1f\n%s", level[0], maxExposure, report)
	}
}

// maxExposure is the level that every version of systemd calls OK or better, and ctkeeper's stays below.
const maxExposure = 1.8

// testUpgrade upgrades while a foreign program writes a value all the time.
func testUpgrade(t *testing.T, m *Machine) {
	t.Helper()
	history := m.Must("ctkeeper events -o json")
	pid := m.property("MainPID")
	m.Must("echo 30 >" + udpTimeout)
	m.waitForValue()
	if explained := m.Journal("-x -u ctkeeper"); !strings.Contains(explained, oldSubject) {
		t.Errorf("the journal has no explanation of the build before:\n%s", explained)
	}
	m.Must("systemd-run --unit=writer sh -c 'while sleep 0.05; do echo 30 >" + udpTimeout + "; done'")
	m.upgrade(buildAfter(t))
	m.Must("systemctl stop writer")
	m.expectRunning(newVersion)
	if got := m.property("MainPID"); got == pid {
		t.Errorf("the daemon of the build before still runs, with pid %s", pid)
	}
	// A contested setting is repaired later, and status reports for a while that it was contested.
	m.WaitFor(time.Minute, "ctkeeper diff")
	m.expect("cat "+configFile, strings.TrimSpace(config))
	if now := m.Must("ctkeeper events -o json"); !strings.HasPrefix(now, history) {
		t.Errorf("the history does not begin with that before the upgrade:\n%s\nbefore:\n%s", now, history)
	}
	explained := m.Journal("-x -u ctkeeper")
	if !strings.Contains(explained, "Subject: Conntrack setting") || strings.Contains(explained, oldSubject) {
		t.Errorf("the journal does not have the explanations of the new build:\n%s", explained)
	}
	if errors, _ := m.Run("journalctl --no-pager -q -p err _PID=" + m.property("MainPID")); errors != "" {
		t.Errorf("errors in the journal:\n%s", errors)
	}
}

//go:build native

package native

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A snapshot is what a package can leave on a host: files by path, each with kind, mode, owner, size and content, and
// units by name with their states.
type snapshot map[string]string

// snapshotScript prints a line for everything. Files of /etc and /var are compared by content, others by size and
// time. Of /run, a file system of its own, only the names count.
const snapshotScript = `
find / -xdev -not -type d -printf '%p\t%y %m %u:%g %s %T@ %l\n' | grep -v -e ^/etc/ -e ^/var/
find / -xdev -type d -printf '%p\t%y %m %u:%g\n'
find /etc /var -xdev -not -type d -printf '%p\t%y %m %u:%g %s %l ' \( -type f -exec sha256sum {} \; -o -printf '\n' \)
find /run -printf '%p\t%y\n'
systemctl list-unit-files --no-legend --no-pager | awk '{print "unit file " $1 "\t" $2}'
systemctl list-units --all --no-legend --no-pager --plain | awk '{print "unit " $1 "\t" $2 " " $3}'
dpkg-query -W -f 'package ${Package}\t${Version} ${Status}\n'`

// volatile are paths that change on every host without a reason in ctkeeper, or as with every package.
var volatile = regexp.MustCompile(`^(` + strings.Join([]string{
	// What apt and dpkg keep: packages themselves are compared by dpkg-query.
	`/var/(lib|cache|log)/(apt|dpkg)(/.*)?`, `/var/log/(dpkg|alternatives)\.log`, `/var/cache/debconf/.*`,
	// The catalog of all packages, which a trigger compiles anew.
	`/var/lib/systemd/catalog/database`, `/var/cache/ldconfig/aux-cache`, `/etc/ld\.so\.cache`,
	// What systemd, its units and the test's own commands have while they run.
	`/run/(log|lock|systemd/(journal|units|transient|inaccessible|sessions|netif|ask-password|propagate|incoming)).*`,
	`/run/systemd/(systemd-units-load|dynamic-uid|generator.*)`, `unit (run-|systemd-|apt-|init|session).*`,
	`/var/lib/systemd/(timers/.*|random-seed|deb-systemd-.*-(enabled|masked)/?)`,
	// The test's.
	`/srv/.*`, `/etc/apt/sources\.list`,
}, "|") + `)$`)

// kept is what stays after a purge. A user stays, because files of it may exist anywhere (systemd-sysusers removes
// none). network-pre.target, which the unit wants, stays active until the next boot.
var kept = regexp.MustCompile(`^(/etc/(passwd|group|shadow|gshadow)-?|/etc/\.pwd\.lock|unit network-pre\.target)$`)

func takeSnapshot(m *Machine) snapshot {
	m.t.Helper()
	s := snapshot{}
	for line := range strings.Lines(m.Must(snapshotScript)) {
		name, state, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if !volatile.MatchString(name) {
			s[name] = state
		}
	}
	return s
}

// compare reports what differs from an earlier snapshot, but for names that a pattern excepts.
func (s snapshot) compare(t *testing.T, before snapshot, except *regexp.Regexp) {
	t.Helper()
	names := maps.Clone(s)
	maps.Copy(names, before)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if s[name] != before[name] && !except.MatchString(name) {
			t.Errorf("%s:\n\tbefore: %s\n\tafter:  %s", name, before[name], s[name])
		}
	}
}

//go:build native

package native

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/ctkeeper/ctkeeper/e2e/rig"
)

// stays is what `make uninstall` names as that which stays, beside what stays after a purge; and directories that the
// programs of other packages use too, which this root did not have.
var stays = regexp.MustCompile(`^(/etc/ctkeeper|/var/lib/ctkeeper|/etc/systemd/system/ctkeeper\.service\.d)(/.*)?$|` +
	`^/usr/share/(fish|fish/vendor_completions\.d|zsh|zsh/site-functions)$|` + kept.String())

// TestMake installs by make, on a host that has neither Go nor git, and takes everything back.
func TestMake(t *testing.T) {
	m := Boot(t, "bookworm")
	const source = "/srv/ctkeeper"
	m.Must("mkdir " + source)
	pack := fmt.Sprintf("tar --create --exclude=./dist . | tar --extract --directory=/proc/%d/root%s", m.PID, source)
	if _, err := rig.Command(buildAfter(t).tree, "sh", "-c", pack); err != nil {
		t.Fatal(err)
	}
	before := takeSnapshot(m)
	output := m.Must("make -C " + source + " install")
	next := 0
	for line := range strings.Lines(output) {
		if command, found := strings.CutPrefix(line, "  "); found {
			m.Must(command)
			next++
		}
	}
	if next == 0 {
		t.Fatalf("make install does not print what is next:\n%s", output)
	}
	m.expectRunning(newVersion)
	m.Write(configFile, config)
	m.waitForValue()
	m.Must("ctkeeper persist")
	m.Must("make -C " + source + " install && systemctl restart ctkeeper")
	m.expect("cat "+configFile, strings.TrimSpace(config))
	m.expectRunning(newVersion)
	m.Must("make -C " + source + " uninstall")
	m.expect("pgrep ctkeeper", "")
	m.expect("cat "+udpTimeout, strings.TrimSpace(wanted))
	takeSnapshot(m).compare(t, before, stays)
}

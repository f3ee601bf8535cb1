//go:build native

package native

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestMachine(t *testing.T) {
	for _, suite := range Suites {
		t.Run(suite, func(t *testing.T) {
			begin := time.Now()
			m := Boot(t, suite)
			t.Logf("running after %s: %s", time.Since(begin), m.Must("systemctl --version | head -1"))
			m.Poweroff()
		})
	}
}

func TestRun(t *testing.T) {
	m := Boot(t, "bookworm")
	if output, status := m.Run("echo out; echo err >&2; exit 3"); output != "out\nerr\n" || status != 3 {
		t.Errorf("Run = %q, %d", output, status)
	}
	m.Write("/srv/a/b", "text\n")
	if got := m.Read("/srv/a/b"); got != "text\n" {
		t.Errorf("Read = %q", got)
	}
	m.Must("systemd-run --quiet --wait --unit=hello echo from a unit")
	if got := m.Journal("-u hello -o cat"); !strings.Contains(got, "from a unit\n") {
		t.Errorf("Journal has no output of the unit:\n%s", got)
	}
	if got := m.Read("/proc/self/cgroup"); !strings.Contains(got, "/user.slice/user-0.slice/session-1.scope\n") {
		t.Errorf("a command runs in the control group %s", got)
	}
}

// TestHost: a machine cannot change the host, and leaves nothing there.
func TestHost(t *testing.T) {
	const setting = "/proc/sys/net/netfilter/nf_conntrack_udp_timeout"
	before, err := os.ReadFile(setting)
	if err != nil {
		t.Skip(err)
	}
	t.Run("machine", func(t *testing.T) {
		m := Boot(t, "bookworm")
		m.Write(setting, "77\n")
		for _, file := range []string{"/proc/sys/kernel/panic", "/sys/module/printk/parameters/time"} {
			if _, status := m.Run("echo 0 >" + file); status == 0 {
				t.Errorf("the machine can write %s", file)
			}
		}
	})
	after, err := os.ReadFile(setting)
	if err != nil {
		t.Fatal(err)
	}
	if string(after) != string(before) {
		t.Errorf("the host's %s is %s, was %s", setting, after, before)
	}
	for _, pattern := range []string{"/sys/fs/cgroup/ctkeeper-native-*", "/sys/fs/cgroup/*/ctkeeper-native-*",
		filepath.Join(os.TempDir(), "ctkeeper-native-*")} {
		if left, _ := filepath.Glob(pattern); len(left) > 0 {
			t.Errorf("the machine left %v", left)
		}
	}
}

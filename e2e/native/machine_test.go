//go:build native

package native

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ctkeeper/ctkeeper/internal/netns"
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
		netns.Cannot(t, "needs nf_conntrack: %v", err)
	}
	name := ""
	t.Run("machine", func(t *testing.T) {
		m := Boot(t, "bookworm")
		name = nameOf(t, m.PID)
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
	if left := leftOf(name); len(left) > 0 {
		t.Errorf("the machine left %v", left)
	}
}

// nameOf returns the name that a machine's directory and control group have on the host.
func nameOf(t *testing.T, pid int) string {
	t.Helper()
	groups, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile("ctkeeper-native-[0-9]+").FindString(string(groups))
	if name == "" {
		t.Fatalf("the machine has no control group of its own: %s", groups)
	}
	return name
}

// leftOf returns what a machine has on the host.
func leftOf(name string) (left []string) {
	for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/", os.TempDir() + "/"} {
		found, _ := filepath.Glob(pattern + name)
		left = append(left, found...)
	}
	return left
}

// victim is set in the process that TestKilled starts and kills.
const victim = "CTKEEPER_NATIVE_VICTIM"

// TestKilled: a machine ends with the process of its test, also when that is killed, and leaves nothing.
func TestKilled(t *testing.T) {
	if os.Getenv(victim) != "" {
		fmt.Println(Boot(t, "bookworm").PID)
		select {}
	}
	netns.RequireRoot(t)
	child := exec.Command("/proc/self/exe", "-test.run=^TestKilled$")
	child.Env = append(os.Environ(), victim+"=1")
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	pid := 0
	if _, err := fmt.Fscanln(out, &pid); err != nil {
		t.Fatalf("no machine: %v", errors.Join(err, child.Process.Kill(), child.Wait()))
	}
	name := nameOf(t, pid)
	if len(leftOf(name)) == 0 {
		t.Errorf("leftOf does not find a running machine: %s", name)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	for deadline := time.Now().Add(soon); len(leftOf(name)) > 0; time.Sleep(pollInterval) {
		if time.Now().After(deadline) {
			t.Fatalf("the machine left %v", leftOf(name))
		}
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the machine still runs: %v", err)
	}
}

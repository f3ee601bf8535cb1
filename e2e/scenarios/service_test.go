//go:build guest

package scenarios

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/host/priority"
)

// TestKill: the daemon is killed while values differ. systemd restarts it, and the first pass repairs them.
func TestKill(t *testing.T) {
	startWithModule(t)
	pid := mainPID(t)
	freeze(t) // it must not repair before it is killed
	write(t, sysctl("max"), "65536")
	write(t, sysctl("tcp_timeout_established"), "432000")
	signal(t, syscall.SIGKILL)
	t.Logf("repaired %s after the kill", waitApplied(t, 10*time.Second, usualValues))
	eventually(t, 10*time.Second, "active again", func() bool { return isActive(t) })
	if again := mainPID(t); again == pid || again == 0 {
		t.Errorf("main process %d, was %d", again, pid)
	}
	if n := property(t, "NRestarts"); n != "1" {
		t.Errorf("NRestarts=%s", n)
	}
}

// TestStop: stopping is quick and changes no value.
func TestStop(t *testing.T) {
	startWithModule(t)
	start := time.Now()
	run(t, "systemctl", "stop", unit)
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("systemctl stop took %s", took)
	} else {
		t.Logf("systemctl stop took %s", took)
	}
	if !isApplied(usualValues) {
		t.Error("the stop changed values")
	}
	if code, result := property(t, "ExecMainStatus"), property(t, "Result"); code != "0" || result != "success" {
		t.Errorf("exit status %s, result %s", code, result)
	}
	write(t, sysctl("max"), "65536")
	time.Sleep(time.Second)
	if got := read("max"); got != "65536" {
		t.Errorf("max was repaired without a daemon: %s", got)
	}
}

// TestPriority: the unit gives every thread of the daemon the nice value, and the short slice that this kernel
// has, 0 where it has none.
func TestPriority(t *testing.T) {
	startWithModule(t)
	runtime.LockOSThread()
	if err := priority.Raise(0); err != nil {
		t.Fatal(err)
	}
	own, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", mainPID(t)))
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		if attr, err := unix.SchedGetAttr(number(t, thread.Name()), 0); err != nil || attr.Runtime != own.Runtime ||
			attr.Nice != own.Nice {
			t.Errorf("thread %s: %+v, %v; want %+v", thread.Name(), attr, err, own)
		}
	}
	t.Logf("%d threads with a slice of %d ns and nice %d", len(threads), own.Runtime, own.Nice)
}

// TestRights: the daemon has its own user, CAP_NET_ADMIN, and no other capability.
func TestRights(t *testing.T) {
	const capNetAdmin = "0000000000001000"
	startWithModule(t)
	account, err := user.Lookup("ctkeeper")
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", mainPID(t)))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for line := range strings.Lines(string(content)) {
		key, value, _ := strings.Cut(line, ":")
		got[key] = strings.Join(strings.Fields(value), " ")
	}
	id := account.Uid
	want := map[string]string{
		"Uid": strings.Join([]string{id, id, id, id}, " "), "NoNewPrivs": "1", "Seccomp": "2",
		"CapEff": capNetAdmin, "CapPrm": capNetAdmin, "CapBnd": capNetAdmin,
		"CapInh": capNetAdmin, "CapAmb": capNetAdmin,
	}
	for key, value := range want {
		if got[key] != value {
			t.Errorf("%s is %s, want %s", key, got[key], value)
		}
	}
	if id == "0" {
		t.Error("the daemon runs as root")
	}
	info, err := os.Stat("/run/ctkeeper/ctkeeper.sock")
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o660 {
		t.Errorf("socket mode %o, want 660", mode)
	}
}

// shortWatchdog is a drop-in with a watchdog that is short enough for a scenario.
const shortWatchdog = "[Service]\nWatchdogSec=4s\nTimeoutAbortSec=2s\n"

// TestWatchdog: it is enabled, fed while the loop runs, and kills the daemon when the loop hangs.
func TestWatchdog(t *testing.T) {
	cleanHost(t)
	writeFile(t, mainFile, usual)
	run(t, "systemctl", "daemon-reload")
	if usec := property(t, "WatchdogUSec"); usec == "0" || usec == "infinity" {
		t.Errorf("the unit's own WatchdogUSec=%s", usec)
	}
	writeFile(t, filepath.Join("/etc/systemd/system", unit+".d", "watchdog.conf"), shortWatchdog)
	run(t, "systemctl", "daemon-reload")
	run(t, "systemctl", "start", unit)
	run(t, "modprobe", "nf_conntrack")
	waitApplied(t, prompt, usualValues)
	pid := mainPID(t)
	first := property(t, "WatchdogTimestampMonotonic")
	time.Sleep(12 * time.Second)
	if mainPID(t) != pid {
		t.Fatal("the watchdog killed a running daemon")
	}
	if property(t, "WatchdogTimestampMonotonic") == first {
		t.Error("the watchdog was not fed in 12 s")
	}
	freeze(t)
	write(t, sysctl("max"), "65536")
	t.Logf("repaired %s after the daemon hung", waitApplied(t, 20*time.Second, usualValues))
	if mainPID(t) == pid {
		t.Error("values are repaired, but the main process is the hung one")
	}
}

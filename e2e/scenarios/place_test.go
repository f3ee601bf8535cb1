//go:build guest

package scenarios

import (
	"bytes"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// everySecond is usual with a pass every second, so that a message of every pass would show within seconds.
const everySecond = `settings:
  max: 300000
  hashsize: 100000
  expect_max: 4096
  tcp_timeout_established: 2h
enforcement:
  resync: 1s
`

// severalPasses is the time for several passes of everySecond.
const severalPasses = 6 * time.Second

// A foreground is `ctkeeper run` without its unit.
type foreground struct {
	cmd  *exec.Cmd
	done chan error

	mu  sync.Mutex
	log bytes.Buffer
}

func (f *foreground) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.log.Write(p)
}

func (f *foreground) text() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.log.String()
}

// startForeground starts the daemon by a command line that ends in it, and collects its log. It is killed when the
// scenario ends.
func startForeground(t *testing.T, argv ...string) *foreground {
	t.Helper()
	f := &foreground{done: make(chan error, 1)}
	f.cmd = exec.Command(argv[0], argv[1:]...)
	f.cmd.Stdout, f.cmd.Stderr = f, f
	f.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	f.cmd.WaitDelay = time.Second
	if err := f.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { f.done <- f.cmd.Wait() }()
	t.Cleanup(func() {
		_ = syscall.Kill(-f.cmd.Process.Pid, syscall.SIGKILL)
		if t.Failed() {
			t.Logf("%s:\n%s", strings.Join(argv, " "), f.text())
		}
	})
	return f
}

// checkRunning fails if the daemon has ended.
func (f *foreground) checkRunning(t *testing.T) {
	t.Helper()
	select {
	case err := <-f.done:
		t.Fatalf("the daemon ended: %v", err)
	default:
	}
}

// stop sends SIGTERM and returns the exit status.
func (f *foreground) stop(t *testing.T) int {
	t.Helper()
	_ = syscall.Kill(-f.cmd.Process.Pid, syscall.SIGTERM)
	select {
	case <-f.done:
		return f.cmd.ProcessState.ExitCode()
	case <-time.After(3 * time.Second):
		t.Fatal("the daemon did not end within 3 s of SIGTERM")
		return -1
	}
}

// refusals returns the log lines about settings that cannot be enforced.
func (f *foreground) refusals() []string {
	var lines []string
	for line := range strings.Lines(f.text()) {
		if strings.Contains(line, "cannot enforce") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// checkRefusedOnce waits for several passes and checks that there is one refusal, with all of words.
func (f *foreground) checkRefusedOnce(t *testing.T, words ...string) {
	t.Helper()
	time.Sleep(severalPasses)
	f.checkRunning(t)
	lines := f.refusals()
	if len(lines) != 1 {
		t.Errorf("%d refusals, want 1: %q", len(lines), lines)
	}
	for _, word := range words {
		if len(lines) > 0 && !strings.Contains(lines[0], word) {
			t.Errorf("the refusal does not contain %q: %s", word, lines[0])
		}
	}
}

// TestChildNamespace: in another network namespace than the first the three sizes cannot be written, which is logged
// once. Timeouts are repaired.
func TestChildNamespace(t *testing.T) {
	cleanHost(t)
	writeFile(t, mainFile, everySecond)
	run(t, "modprobe", "nf_conntrack")
	outside := read("tcp_timeout_established")
	run(t, "ip", "netns", "add", "e2e")
	t.Cleanup(func() { run(t, "ip", "netns", "delete", "e2e") })
	inside := func() string {
		out, _ := try(t, "ip", "netns", "exec", "e2e", "cat", sysctl("tcp_timeout_established"))
		return strings.TrimSpace(out)
	}
	f := startForeground(t, "ip", "netns", "exec", "e2e", "ctkeeper", "run")
	eventually(t, prompt, "the timeout is applied inside", func() bool { return inside() == "7200" })
	f.checkRefusedOnce(t, "max", "hashsize", "expect_max", "namespace")
	if strings.Contains(strings.Join(f.refusals(), ""), "tcp_timeout_established") {
		t.Error("the refusal names a timeout, which can be written here")
	}
	run(t, "ip", "netns", "exec", "e2e", "sh", "-c", "echo 100 > "+sysctl("tcp_timeout_established"))
	eventually(t, prompt, "the timeout is repaired inside", func() bool { return inside() == "7200" })
	if live := read("tcp_timeout_established"); live != outside {
		t.Errorf("the host's timeout changed from %s to %s", outside, live)
	}
	s, code := document(t, "status")
	if state := settingOf(s, "max").State; state != "forbidden" || code != 1 {
		t.Errorf("status: max is %s, exit status %d; want forbidden, 1", state, code)
	}
	if code := f.stop(t); code != 0 {
		t.Errorf("exit status %d after SIGTERM", code)
	}
}

// TestReadOnlyProc: /proc/sys is read-only, as in a container.
func TestReadOnlyProc(t *testing.T) {
	cleanHost(t)
	writeFile(t, mainFile, everySecond)
	run(t, "modprobe", "nf_conntrack")
	f := startForeground(t, "unshare", "--mount", "sh", "-c",
		"mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && "+
			"mount -o remount,bind,ro /sys && exec ctkeeper run")
	f.checkRefusedOnce(t, "read-only", "max", "tcp_timeout_established")
	if code := f.stop(t); code != 0 {
		t.Errorf("exit status %d after SIGTERM", code)
	}
}

// asNobody is the beginning of a command line that runs a command without capabilities. setpriv executes it in the
// same process; with runuser the exit status would be that of runuser.
var asNobody = []string{
	"setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all",
}

// TestNotRoot: without capabilities the daemon logs that once and goes on watching. With --strict it ends with 77.
func TestNotRoot(t *testing.T) {
	cleanHost(t)
	writeFile(t, mainFile, everySecond)
	run(t, "modprobe", "nf_conntrack")
	before := read("max")
	f := startForeground(t, append(asNobody, "ctkeeper", "run")...)
	f.checkRefusedOnce(t, "CAP_NET_ADMIN", "max", "tcp_timeout_established")
	if got := read("max"); got != before {
		t.Errorf("max changed from %s to %s", before, got)
	}
	if code := f.stop(t); code != 0 {
		t.Errorf("exit status %d after SIGTERM", code)
	}
	strict := startForeground(t, append(asNobody, "ctkeeper", "run", "--strict")...)
	select {
	case <-strict.done:
		if code := strict.cmd.ProcessState.ExitCode(); code != 77 {
			t.Errorf("--strict: exit status %d, want 77", code)
		}
	case <-time.After(10 * time.Second):
		t.Error("--strict: still running after 10 s")
	}
}

// TestObserve: mode observe reports drift and writes nothing.
func TestObserve(t *testing.T) {
	since := startDaemon(t, strings.Replace(usual, "enforcement:\n", "enforcement:\n  mode: observe\n", 1))
	run(t, "modprobe", "nf_conntrack")
	before := read("max")
	e := since.wait(t, "drift", "max")
	if e.get("CTKEEPER_RESULT") != "observed" {
		t.Errorf("result %s", e.get("CTKEEPER_RESULT"))
	}
	writes := logWrites(t)
	write(t, sysctl("max"), "70000")
	time.Sleep(2 * time.Second)
	if seen, got := writes.files(), read("max"); len(seen) != 1 || got != "70000" {
		t.Errorf("max is %s, want 70000; writes to %v, want only the scenario's", got, seen)
	}
	s, code := document(t, "status")
	if state := settingOf(s, "max").State; state != "drifted" || code != 1 || s.Daemon.Mode != "observe" {
		t.Errorf("status after a write (before: %s): %s in mode %s, exit status %d", before, state, s.Daemon.Mode, code)
	}
}

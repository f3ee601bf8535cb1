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

// fast looks often, so that what is said at every look shows within seconds.
const fast = `settings:
  max: 300000
  hashsize: 100000
  expect_max: 4096
  tcp_timeout_established: 2h
enforcement:
  resync: 1s
`

// looks is long enough for several passes of fast.
const looks = 6 * time.Second

// A foreground is `ctkeeper run` outside of its unit.
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

// foregroundRun starts the daemon by a command line that ends in it, logging to
// us. It is killed when the scenario ends.
func foregroundRun(t *testing.T, argv ...string) *foreground {
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

// staysUp fails when the daemon has ended.
func (f *foreground) staysUp(t *testing.T) {
	t.Helper()
	select {
	case err := <-f.done:
		t.Fatalf("it ended: %v", err)
	default:
	}
}

// ends asks the daemon to stop and gives its exit status.
func (f *foreground) ends(t *testing.T) int {
	t.Helper()
	_ = syscall.Kill(-f.cmd.Process.Pid, syscall.SIGTERM)
	select {
	case <-f.done:
		return f.cmd.ProcessState.ExitCode()
	case <-time.After(3 * time.Second):
		t.Fatal("it did not end within 3 s of SIGTERM")
		return -1
	}
}

// refusals gives the lines that say that something cannot be enforced.
func (f *foreground) refusals() []string {
	var lines []string
	for line := range strings.Lines(f.text()) {
		if strings.Contains(line, "cannot enforce") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// saysOnce waits for several passes and wants one refusal with all of words.
func (f *foreground) saysOnce(t *testing.T, words ...string) {
	t.Helper()
	time.Sleep(looks)
	f.staysUp(t)
	said := f.refusals()
	if len(said) != 1 {
		t.Errorf("said %d times that it cannot enforce, want once: %q", len(said), said)
	}
	for _, word := range words {
		if len(said) > 0 && !strings.Contains(said[0], word) {
			t.Errorf("the refusal does not say %q: %s", word, said[0])
		}
	}
}

// TestChildNamespace: in a network namespace of its own the three sizes belong
// to somebody else, which is said once; the timeouts are kept.
func TestChildNamespace(t *testing.T) {
	fresh(t)
	put(t, mainFile, fast)
	run(t, "modprobe", "nf_conntrack")
	outside := read("tcp_timeout_established")
	run(t, "ip", "netns", "add", "e2e")
	t.Cleanup(func() { run(t, "ip", "netns", "delete", "e2e") })
	inside := func() string {
		out, _ := try(t, "ip", "netns", "exec", "e2e", "cat", sysctl("tcp_timeout_established"))
		return strings.TrimSpace(out)
	}
	f := foregroundRun(t, "ip", "netns", "exec", "e2e", "ctkeeper", "run")
	eventually(t, prompt, "the timeout is in force inside", func() bool { return inside() == "7200" })
	f.saysOnce(t, "max", "hashsize", "expect_max", "namespace")
	if strings.Contains(strings.Join(f.refusals(), ""), "tcp_timeout_established") {
		t.Error("the refusal names a timeout, which can be kept here")
	}
	run(t, "ip", "netns", "exec", "e2e", "sh", "-c", "echo 100 > "+sysctl("tcp_timeout_established"))
	eventually(t, prompt, "the timeout is kept inside", func() bool { return inside() == "7200" })
	if now := read("tcp_timeout_established"); now != outside {
		t.Errorf("the host's timeout went from %s to %s", outside, now)
	}
	s, code := ask(t, "status")
	if state := s.setting("max").State; state != "forbidden" || code != 1 {
		t.Errorf("status: max is %s, exit status %d; want forbidden, 1", state, code)
	}
	if code := f.ends(t); code != 0 {
		t.Errorf("exit status %d on request", code)
	}
}

// TestReadOnlyProc: a container's read-only /proc/sys.
func TestReadOnlyProc(t *testing.T) {
	fresh(t)
	put(t, mainFile, fast)
	run(t, "modprobe", "nf_conntrack")
	f := foregroundRun(t, "unshare", "--mount", "sh", "-c",
		"mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && mount -o remount,bind,ro /sys && exec ctkeeper run")
	f.saysOnce(t, "read-only", "max", "tcp_timeout_established")
	if code := f.ends(t); code != 0 {
		t.Errorf("exit status %d on request", code)
	}
}

// asNobody runs a command without any right, in this very process: runuser would
// stand between us and the command's exit status.
var asNobody = []string{"setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"}

// TestNotRoot: without any right it says so once, stays, and watches; with
// --strict it ends with 77.
func TestNotRoot(t *testing.T) {
	fresh(t)
	put(t, mainFile, fast)
	run(t, "modprobe", "nf_conntrack")
	before := read("max")
	f := foregroundRun(t, append(asNobody, "ctkeeper", "run")...)
	f.saysOnce(t, "CAP_NET_ADMIN", "max", "tcp_timeout_established")
	if got := read("max"); got != before {
		t.Errorf("max went from %s to %s", before, got)
	}
	if code := f.ends(t); code != 0 {
		t.Errorf("exit status %d on request", code)
	}
	strict := foregroundRun(t, append(asNobody, "ctkeeper", "run", "--strict")...)
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
	since := keep(t, strings.Replace(usual, "enforcement:\n", "enforcement:\n  mode: observe\n", 1))
	run(t, "modprobe", "nf_conntrack")
	before := read("max")
	e := since.wait(t, "drift", "max")
	if e.get("CTKEEPER_RESULT") != "observed" {
		t.Errorf("result %s", e.get("CTKEEPER_RESULT"))
	}
	writes := logWrites(t)
	write(t, sysctl("max"), "70000")
	time.Sleep(2 * time.Second)
	if seen, got := writes.seen(), read("max"); len(seen) != 1 || got != "70000" {
		t.Errorf("max is %s, and beside our own write there are: %v", got, seen)
	}
	s, code := ask(t, "status")
	if state := s.setting("max").State; state != "drifted" || code != 1 || s.Daemon.Mode != "observe" {
		t.Errorf("max was %s, then written: status says %s in mode %s, exit status %d", before, state, s.Daemon.Mode, code)
	}
}

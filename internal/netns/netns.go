package netns

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	marker = "CTKEEPER_TEST_IN_NETNS"
	spare  = 5 * time.Second // the part of a test's time for the report of its child
)

// Enter reports whether the test already runs in namespaces of its own. If not, Enter runs the test binary again for
// this one test in new namespaces, and fails or skips the test as that did. The test then has nothing left to do:
//
//	if !netns.Enter(t) {
//		return
//	}
//
// A new network namespace begins with nf_conntrack's compiled-in defaults, and can write the settings that are not
// Global.
func Enter(t *testing.T) bool {
	t.Helper()
	return enter(t, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS})
}

// EnterUser is Enter with a user namespace, too. This process's user is root in it, and its limits
// (/proc/sys/user/max_*) can be lowered.
func EnterUser(t *testing.T) bool {
	t.Helper()
	return enter(t, &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	})
}

func enter(t *testing.T, attr *syscall.SysProcAttr) bool {
	t.Helper()
	if os.Getenv(marker) == t.Name() {
		return true
	}
	RequireRoot(t)
	args := []string{"-test.run=^" + t.Name() + "$", "-test.v", "-test.count=1"}
	if deadline, ok := t.Deadline(); ok {
		args = append(args, "-test.timeout="+max(time.Until(deadline)-spare, spare).String())
	}
	child := exec.CommandContext(t.Context(), "/proc/self/exe", args...)
	child.Env = append(os.Environ(), marker+"="+t.Name())
	child.SysProcAttr = attr
	out, err := child.CombinedOutput()
	switch {
	case err != nil:
		t.Fatalf("in its own namespaces: %v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP: "+t.Name()+" "):
		t.Skipf("in its own namespaces:\n%s", out)
	case !strings.Contains(string(out), "--- PASS: "+t.Name()+" "):
		t.Fatalf("in its own namespaces the test did not run:\n%s", out)
	}
	return false
}

// RequireRoot skips a test that needs root, if this process is not root. With CI=true it fails it: CI runs as root,
// and must not skip tests.
func RequireRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		Cannot(t, "needs root, for namespaces of its own")
	}
}

// Cannot ends a test that cannot run, for the given reason: it skips it, or with CI=true fails it.
func Cannot(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

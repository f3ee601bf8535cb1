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
	spare  = 5 * time.Second // what is left of a test's time to report its child
)

// Enter reports whether the test already runs in namespaces of its own. Where it
// does not, Enter runs the test binary again for this one test, in new ones, and
// hands on how that ended; the test then has nothing left to do:
//
//	if !netns.Enter(t) {
//		return
//	}
//
// A new network namespace starts with nf_conntrack's compiled-in defaults, and
// may set what is not Global.
func Enter(t *testing.T) bool {
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
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS}
	out, err := child.CombinedOutput()
	switch {
	case err != nil:
		t.Fatalf("in its own namespaces: %v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP: "+t.Name()+" "):
		t.Skipf("in its own namespaces:\n%s", out)
	case !strings.Contains(string(out), "--- PASS: "+t.Name()+" "):
		t.Fatalf("in its own namespaces nothing ran:\n%s", out)
	}
	return false
}

// RequireRoot skips a test that needs root. With CI=true it fails instead: there
// everything runs as root, and nothing may be left out unseen.
func RequireRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		Cannot(t, "needs root, to make namespaces of its own")
	}
}

// Cannot ends a test that was meant to run and cannot, for the reason given. It
// skips it; with CI=true it fails it.
func Cannot(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

package guard

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/ctkeeper/ctkeeper/internal/netns"
)

// windowHelper compiles the program that reads and writes as fast as it can.
func windowHelper(t *testing.T) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "window")
	out, err := exec.Command("gcc", "-O2", "-o", to, "../e2e/helpers/window.c").CombinedOutput()
	if err != nil {
		netns.Cannot(t, "cannot compile the helper: %v\n%s", err, out)
	}
	return to
}

// runWindow writes values with the helper, from a cgroup, while another one reads file on another processor. It
// returns how many of the reads had another value than want.
func runWindow(t *testing.T, cgroup, file, want string, count int, assignments ...string) (reads, others int) {
	t.Helper()
	helper := windowHelper(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var read bytes.Buffer
	reader := exec.CommandContext(ctx, helper, "read", "1", file, want)
	reader.Cancel = func() error { return reader.Process.Signal(syscall.SIGTERM) }
	out, err := reader.StdoutPipe()
	if err == nil {
		err = reader.Start()
	}
	if err == nil {
		_, err = out.Read(make([]byte, len("reading\n")))
	}
	if err != nil {
		netns.Cannot(t, "cannot read on a second processor: %v", err)
	}
	dir, err := os.Open(cgroup)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	writer := exec.Command(helper, append([]string{"write", "0", strconv.Itoa(count)}, assignments...)...)
	writer.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	wrote, err := writer.CombinedOutput()
	cancel()
	_, _ = read.ReadFrom(out)
	_ = reader.Wait() // the error is that it was canceled
	var writes, failed, nanoseconds int
	if _, parse := fmt.Sscan(string(wrote), &writes, &failed, &nanoseconds); err != nil || parse != nil || failed > 0 {
		t.Fatalf("writer: %v: %s", err, wrote)
	}
	var first string
	if _, err := fmt.Sscan(read.String(), &reads, &others, &first); err != nil {
		t.Fatalf("reader: %v: %q", err, read.String())
	}
	t.Logf("%d writes of %d ns; %d reads, %d had another value (%s)", writes, nanoseconds/writes, reads, others, first)
	return reads, others
}

// TestHoldWindow: while a hundred thousand foreign writes are absorbed, a reader on the other processor sees no other
// value.
func TestHoldWindow(t *testing.T) {
	now, n := readMax(t)
	cgroup, g := guardInCgroup(t)
	runGuard(t, g)
	setWants(t, g, Hold, wantOf(t, "max", now))
	t.Cleanup(func() {
		if live := readFile(t, maxFile); live != now {
			t.Errorf("max is %s, was %s: %v", live, now, os.WriteFile(maxFile, []byte(now), 0))
		}
	})
	var assignments []string
	for _, text := range []string{
		strconv.Itoa(n + 1), strconv.Itoa(n-1) + "\n", "0", "-1", fmt.Sprintf("%#x", n+1), "4294967295", "junk", "\n",
		strings.Repeat(" ", textSize+40) + strconv.Itoa(n+1), strings.Repeat("0", textSize+40) + "7",
	} {
		for _, file := range []string{maxFile, "/proc/sys/net/nf_conntrack_max"} {
			assignments = append(assignments, file+"="+text)
		}
	}
	const writes = 100_000
	reads, others := runWindow(t, cgroup, maxFile, now, writes, assignments...)
	if others != 0 || reads < writes/100 {
		t.Errorf("%d of %d reads had another value", others, reads)
	}
}

// TestTimeoutWindow: a timeout of this network namespace is held, too. The same reader sees other values if the writes
// are only watched.
func TestTimeoutWindow(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	now := readFile(t, timeoutFile)
	cgroup, g := guardInCgroup(t)
	runGuard(t, g)
	want := wantOf(t, "tcp_timeout_close", now)
	if !g.CanBlock(want.Setting) {
		netns.Cannot(t, "the guard does not see the network namespace: %v", g.Features().Missing)
	}
	for mode, window := range map[Mode]bool{Watch: true, Hold: false} {
		setWants(t, g, mode, want)
		_, others := runWindow(t, cgroup, timeoutFile, now, 10_000, timeoutFile+"=7777", timeoutFile+"="+now)
		if (others > 0) != window {
			t.Errorf("mode %v: %d reads had another value", mode, others)
		}
	}
}

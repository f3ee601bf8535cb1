package guard

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/ctkeeper/ctkeeper/internal/netns"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	maxFile     = "/proc/sys/net/netfilter/nf_conntrack_max"
	timeoutFile = "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_close"
	otherFile   = "/proc/sys/net/netfilter/nf_conntrack_udp_timeout"
)

// calls records the calls that a guard's Run makes.
type calls struct {
	mu        sync.Mutex
	wakes     int
	overflows int
	refused   []BlockedWrite
}

func (s *calls) wake(overflow bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wakes++
	if overflow {
		s.overflows++
	}
}

func (s *calls) refuse(r BlockedWrite) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused = append(s.refused, r)
}

func (s *calls) counts() (wakes, overflows, refused int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wakes, s.overflows, len(s.refused)
}

// last returns the last refusal.
func (s *calls) last() BlockedWrite {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused[len(s.refused)-1]
}

// newCgroup creates a cgroup for the test.
func newCgroup(t testing.TB, name string) string {
	t.Helper()
	netns.RequireRoot(t)
	mount, err := findCgroup2()
	if err != nil {
		netns.Cannot(t, "%v", err)
	}
	dir := filepath.Join(mount, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		netns.Cannot(t, "cannot make a cgroup: %v", err)
	}
	t.Cleanup(func() {
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// openGuard attaches a guard to a cgroup for the test.
func openGuard(t testing.TB, opts Options) *Guard {
	t.Helper()
	g, err := Open(opts)
	switch {
	case errors.Is(err, ebpf.ErrNotSupported), errors.Is(err, ErrNoCgroup2), errors.Is(err, os.ErrPermission):
		netns.Cannot(t, "%v", err)
	case err != nil:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

// testUnit is the name of the cgroup that only this process uses, as a unit's.
func testUnit() string { return fmt.Sprintf("ctkeeper-test-%d.service", os.Getpid()) }

// guardInCgroup attaches a guard to a cgroup of the test's own.
func guardInCgroup(t testing.TB) (cgroup string, g *Guard) {
	t.Helper()
	cgroup = newCgroup(t, testUnit())
	return cgroup, openGuard(t, Options{Cgroup: cgroup})
}

// runGuard runs a guard until the end of the test.
func runGuard(t testing.TB, g *Guard) *calls {
	t.Helper()
	s := &calls{}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	var tasks sync.WaitGroup
	tasks.Go(func() { ended <- g.Run(ctx, s.wake, s.refuse) })
	t.Cleanup(func() {
		cancel()
		tasks.Wait()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	})
	return s
}

func wantOf(t testing.TB, name, value string) sysfs.Want {
	t.Helper()
	s := sysfs.Lookup(name)
	return sysfs.Want{Setting: s, Policy: sysfs.Exactly, Value: s.Parse(value)}
}

func setWants(t testing.TB, g *Guard, mode Mode, wants ...sysfs.Want) {
	t.Helper()
	if err := g.SetWants(wants, mode); err != nil {
		t.Fatal(err)
	}
}

// writeIn writes a file from a new process in a cgroup. It returns the process's pid and error.
func writeIn(t testing.TB, cgroup, file, value string) (int, error) {
	t.Helper()
	dir, err := os.Open(cgroup)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	cmd := exec.Command("dd", "of="+file, "conv=notrunc", "status=none")
	cmd.Stdin = strings.NewReader(value)
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	out, err := cmd.CombinedOutput()
	if cmd.Process == nil {
		t.Fatal(err)
	}
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return cmd.Process.Pid, err
}

func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func readFile(t testing.TB, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		netns.Cannot(t, "no conntrack here: %v", err)
	}
	return strings.TrimSpace(string(content))
}

// TestWatchNamesWriter: a foreign write wakes the loop, and its writer is known after the process has ended.
func TestWatchNamesWriter(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	unit := testUnit()
	cgroup := newCgroup(t, unit)
	g := openGuard(t, Options{Cgroup: cgroup})
	want := wantOf(t, "tcp_timeout_close", "10")
	setWants(t, g, Watch, want)
	s := runGuard(t, g)
	before := time.Now()
	pid, err := writeIn(t, cgroup, timeoutFile, "0x21\n")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "a wake", func() bool { wakes, _, _ := s.counts(); return wakes > 0 })
	got := g.WriterOf(want.Setting, want.Setting.Parse(readFile(t, timeoutFile)), before.Add(-time.Second))
	if diff := cmp.Diff(&sysfs.Writer{PID: pid, Comm: "dd", Unit: unit}, got); diff != "" {
		t.Errorf("writer (-want +got):\n%s", diff)
	}
	if other := g.WriterOf(want.Setting, sysfs.Number(34), before.Add(-time.Second)); other != nil {
		t.Errorf("the writer of another value is %v", other)
	}
	if late := g.WriterOf(want.Setting, sysfs.Number(33), time.Now().Add(time.Second)); late != nil {
		t.Errorf("the writer after the write is %v", late)
	}
	if _, _, refused := s.counts(); refused > 0 {
		t.Errorf("%d writes refused", refused)
	}
}

// TestWatchIgnores: reads, other sysctls and the daemon's own writes are not reported.
func TestWatchIgnores(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	cgroup, g := guardInCgroup(t)
	setWants(t, g, Watch, wantOf(t, "tcp_timeout_close", "10"))
	s := runGuard(t, g)
	enterCgroup(t, cgroup)
	readFile(t, timeoutFile)
	if err := os.WriteFile(timeoutFile, []byte("12"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := writeIn(t, cgroup, otherFile, "31"); err != nil {
		t.Fatal(err)
	}
	if _, err := exec.Command("cat", timeoutFile).Output(); err != nil {
		t.Fatal(err)
	}
	g.drain()
	if wakes, overflows, refused := s.counts(); wakes+overflows+refused > 0 {
		t.Errorf("%d wakes, %d overflows, %d refusals; want none", wakes, overflows, refused)
	}
	if _, err := writeIn(t, cgroup, timeoutFile, "13"); err != nil { // which is reported
		t.Fatal(err)
	}
	eventually(t, "a wake", func() bool { wakes, _, _ := s.counts(); return wakes > 0 })
}

// enterCgroup moves the test's process into a cgroup, and back at the end of the test.
func enterCgroup(t testing.TB, cgroup string) {
	t.Helper()
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	_, path, _ := strings.Cut(string(own), "0::")
	path, _, _ = strings.Cut(path, "\n")
	move := func(dir string) {
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0); err != nil {
			t.Fatal(err)
		}
	}
	move(cgroup)
	t.Cleanup(func() { move(filepath.Join(filepath.Dir(cgroup), path)) })
}

// readMax returns the live value of max, as text and as a number.
func readMax(t *testing.T) (string, int) {
	t.Helper()
	text := readFile(t, maxFile)
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return text, n
}

// TestLock: the lock refuses another value in every notation and accepts the wanted one. No write changes anything:
// the accepted value is the live one.
func TestLock(t *testing.T) {
	now, n := readMax(t)
	cgroup, g := guardInCgroup(t)
	s := runGuard(t, g)
	setWants(t, g, Lock, wantOf(t, "max", now))
	for _, let := range []string{now, now + "\n", " " + now, fmt.Sprintf("%#x", n), fmt.Sprintf("0%o\n", n)} {
		if _, err := writeIn(t, cgroup, maxFile, let); err != nil {
			t.Errorf("%q: %v", let, err)
		}
	}
	values := []string{
		strconv.Itoa(n + 1), "1", "-1", "0", "4294967295", "9999999999999999999999", "x" + now, "", " ",
		strconv.Itoa(n+1) + " " + now,
	}
	refused := 0
	for _, value := range values {
		if value == "" {
			continue // dd does not write then
		}
		refused++
		pid, err := writeIn(t, cgroup, maxFile, value)
		if err == nil || !strings.Contains(err.Error(), "Operation not permitted") {
			t.Errorf("%q: %v", value, err)
		}
		eventually(t, "a refusal", func() bool { _, _, n := s.counts(); return n == refused })
		last := s.last()
		if last.Setting.Name != "max" || !isNamed(g, last.By, pid) || last.Value != strings.TrimSpace(value) {
			t.Errorf("%q by %d: %+v", value, pid, last)
		}
	}
	if after := readFile(t, maxFile); after != now {
		t.Fatalf("max is %s, was %s", after, now)
	}
	alias := "/proc/sys/net/nf_conntrack_max"
	if _, err := writeIn(t, cgroup, alias, strconv.Itoa(n+1)); err == nil {
		t.Error("the alias is not locked")
	}
	setWants(t, g, Watch, wantOf(t, "max", strconv.Itoa(n+1)))
	if _, err := writeIn(t, cgroup, maxFile, now); err != nil {
		t.Errorf("without the lock: %v", err)
	}
	setWants(t, g, Lock, wantOf(t, "tcp_loose", "1"))
	if _, err := writeIn(t, cgroup, maxFile, now); err != nil {
		t.Errorf("a setting without a want: %v", err)
	}
}

// isNamed reports whether a writer is the process dd with a pid, as far as the guard can report it here.
func isNamed(g *Guard, by sysfs.Writer, pid int) bool {
	can := g.Features()
	return (by.PID == pid || !can.PID) && (by.Comm == "dd" || !can.Comm)
}

// TestLockEndsWithGuard: after Close every write is accepted.
func TestLockEndsWithGuard(t *testing.T) {
	now := readFile(t, maxFile)
	cgroup, g := guardInCgroup(t)
	setWants(t, g, Lock, wantOf(t, "max", now+"0"))
	if _, err := writeIn(t, cgroup, maxFile, now); err == nil {
		t.Error("the write was accepted")
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	if _, err := writeIn(t, cgroup, maxFile, now); err != nil {
		t.Errorf("after Close: %v", err)
	}
}

// TestLockAllowsNewUnit: an allowed unit that starts after the guard can write any value.
func TestLockAllowsNewUnit(t *testing.T) {
	now := readFile(t, maxFile)
	pid := os.Getpid()
	cgroup := newCgroup(t, fmt.Sprintf("ctkeeper-test-%d.slice", pid))
	unit := fmt.Sprintf("allowed-%d.service", pid)
	g := openGuard(t, Options{Cgroup: cgroup, Allow: []string{unit}})
	setWants(t, g, Lock, wantOf(t, "max", now+"0"))
	runGuard(t, g)
	inner := filepath.Join(cgroup, unit)
	if err := os.Mkdir(inner, 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(inner)
	eventually(t, "the allowed unit's write", func() bool {
		_, err := writeIn(t, inner, maxFile, now)
		return err == nil
	})
	if _, err := writeIn(t, cgroup, maxFile, now); err == nil {
		t.Error("another unit's write was accepted")
	}
}

// TestOverflow: Run reports one overflow of the ring buffer, and the writes that it still has.
func TestOverflow(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	cgroup := newCgroup(t, testUnit())
	g := openGuard(t, Options{Cgroup: cgroup, Buffer: os.Getpagesize()})
	setWants(t, g, Watch, wantOf(t, "tcp_timeout_close", "10"))
	for i := range 60 {
		if _, err := writeIn(t, cgroup, timeoutFile, strconv.Itoa(20+i)); err != nil {
			t.Fatal(err)
		}
	}
	s := runGuard(t, g)
	eventually(t, "an overflow", func() bool { _, overflows, _ := s.counts(); return overflows == 1 })
	if wakes, _, _ := s.counts(); wakes < 2 {
		t.Errorf("%d wakes", wakes)
	}
}

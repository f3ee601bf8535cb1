package guard

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

// TestLockRefusesCutText: the program sees only the first bytes of a long text, and the kernel would read the rest as
// well. If the write were accepted it would set the live value.
func TestLockRefusesCutText(t *testing.T) {
	now := readFile(t, maxFile)
	cgroup, g := guardInCgroup(t)
	runGuard(t, g)
	wanted := now[:len(now)-1]
	for _, policy := range []sysfs.Policy{sysfs.Exactly, sysfs.AtMost} {
		want := wantOf(t, "max", wanted)
		want.Policy = policy
		setWants(t, g, Lock, want)
		value := strings.Repeat(" ", textSize-1-len(wanted)) + now
		if _, err := writeIn(t, cgroup, maxFile, value); err == nil {
			t.Errorf("%s %s: %q was accepted", policy, wanted, value)
		}
	}
}

// TestLockAllowsAtOnce: an allowed unit that exists before the guard can write at once, before Run.
func TestLockAllowsAtOnce(t *testing.T) {
	now := readFile(t, maxFile)
	unit := testUnit()
	cgroup := newCgroup(t, unit)
	g := openGuard(t, Options{Cgroup: cgroup, Allow: []string{unit}})
	setWants(t, g, Lock, wantOf(t, "max", now+"0"))
	if _, err := writeIn(t, cgroup, maxFile, now); err != nil {
		t.Errorf("the allowed unit: %v", err)
	}
}

// TestLockWithoutTree: if the cgroup tree cannot be watched, Open fails if units are allowed, since the lock would
// refuse their writes. Without allowed units it succeeds.
func TestLockWithoutTree(t *testing.T) {
	cgroup := newCgroup(t, testUnit())
	openGuard(t, Options{Cgroup: cgroup})
	for _, allow := range [][]string{nil, {"kube-proxy.service"}} {
		g := newGuard()
		err := g.open(Options{Cgroup: cgroup, Allow: allow}, filepath.Join(t.TempDir(), "no tree"))
		if (err == nil) != (allow == nil) {
			t.Errorf("allow %v: %v", allow, err)
		}
		if can := g.Features(); can.Unit || can.PID != (allow == nil) {
			t.Errorf("allow %v: %+v", allow, can)
		}
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	}
}

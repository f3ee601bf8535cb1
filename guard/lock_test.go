package guard

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

// What the program cannot see whole it does not let through: the kernel would read on where
// the program's text ends. Were it let through, the value that is there would be written.
func TestLockRefusesWhatIsCut(t *testing.T) {
	now := readFile(t, maxFile)
	cgroup := newCgroup(t, fmt.Sprintf("ctkeeper-test-%d.service", os.Getpid()))
	g := openGuard(t, Options{Cgroup: cgroup})
	runGuard(t, g)
	wanted := now[:len(now)-1]
	for _, policy := range []sysfs.Policy{sysfs.Exactly, sysfs.AtMost} {
		want := wantOf(t, "max", wanted)
		want.Policy = policy
		setWants(t, g, true, want)
		value := strings.Repeat(" ", textSize-1-len(wanted)) + now
		if _, err := writeIn(t, cgroup, maxFile, value); err == nil {
			t.Errorf("%s %s: %q went through", policy, wanted, value)
		}
	}
}

// An allowed unit that is there already is let through from the first moment: no lock without
// those whom it lets through.
func TestLockAllowsAtOnce(t *testing.T) {
	now := readFile(t, maxFile)
	unit := fmt.Sprintf("ctkeeper-test-%d.service", os.Getpid())
	cgroup := newCgroup(t, unit)
	g := openGuard(t, Options{Cgroup: cgroup, Allow: []string{unit}})
	setWants(t, g, true, wantOf(t, "max", now+"0"))
	if _, err := writeIn(t, cgroup, maxFile, now); err != nil {
		t.Errorf("the allowed unit: %v", err)
	}
}

// Where the tree cannot be followed nobody could be let through: with a list of units there
// is no guard then, and without one there is.
func TestLockWithoutTree(t *testing.T) {
	cgroup := newCgroup(t, fmt.Sprintf("ctkeeper-test-%d.service", os.Getpid()))
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

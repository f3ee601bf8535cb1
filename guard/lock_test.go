package guard

import (
	"fmt"
	"os"
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

//go:build guest

package scenarios

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/ctkeeper/ctkeeper/host/meminfo"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/reconcile"
)

// TestHashsizeBeyondMemory: a hash size that the checks allow (under 1/4 of RAM) and that memory cannot hold now. The
// daemon lives, keeps the other settings, says why, and makes the table when there is memory.
func TestHashsizeBeyondMemory(t *testing.T) {
	const buckets, mib = 32 << 20, 1 << 20 // 256 MiB
	startWithModule(t)
	pid := mainPID(t)
	const ballast = "/dev/shm/ballast" // memory that cannot be reclaimed
	t.Cleanup(func() { _ = os.Remove(ballast) })
	available, err := meminfo.Available(tree.At(""))
	if err != nil {
		t.Fatal(err)
	}
	fill := strconv.FormatInt((available-400*mib)/mib, 10)
	run(t, "mount", "-o", "remount,size=100%", "/dev/shm") // half of RAM before
	run(t, "dd", "if=/dev/zero", "of="+ballast, "bs=1M", "count="+fill)

	hashsize := strconv.Itoa(buckets)
	writeFile(t, mainFile, "settings: {max: 310000, hashsize: "+hashsize+"}\n")
	run(t, "systemctl", "reload", unit)
	waitApplied(t, prompt, map[string]string{"max": "310000"})
	eventually(t, prompt, "status says why", func() bool {
		s, _ := document(t, "status")
		for _, setting := range s.Settings {
			if setting.Name == "hashsize" && setting.State == reconcile.Failed {
				return strings.Contains(setting.Error, "its hash table takes 256 MiB")
			}
		}
		return false
	})
	if mainPID(t) != pid {
		t.Error("the daemon was restarted")
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	run(t, "systemctl", "reload", unit)
	waitApplied(t, 5*prompt, map[string]string{"buckets": hashsize})
	if mainPID(t) != pid {
		t.Error("the daemon was restarted")
	}
}

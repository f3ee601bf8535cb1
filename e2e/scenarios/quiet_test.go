//go:build guest

package scenarios

import (
	"fmt"
	"testing"
	"time"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

// TestQuiet: hashsize 10000 is wanted, the kernel rounds it to 10240, and that is in sync. In a minute with a pass
// every second no file is written and no journal entry made.
func TestQuiet(t *testing.T) {
	begin := startDaemon(t, "settings:\n  hashsize: 10000\n  max: 20000\nenforcement:\n  resync: 1s\n")
	run(t, "modprobe", "nf_conntrack")
	want := map[string]string{"buckets": "10240", "max": "20000"}
	waitApplied(t, prompt, want)
	// The boot files set the hash size, and the kernel max with it, which the daemon lowers. Its journal entry
	// follows the write.
	begin.wait(t, "drift", "max")

	writes := logWrites(t)
	// A write through another procfs is not in the log, so what is there is the daemon's. This proves that the log
	// has its writes.
	run(t, "unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", "echo 30000 > "+sysctl("max"))
	waitApplied(t, prompt, want)
	if seen := writes.files(); len(seen) != 1 || seen[0] != sysctl("max") {
		t.Fatalf("the log of one repair has %v, want one write to max", seen)
	}
	writes.reset()
	// After this time the drift is in the journal; entries after it are counted.
	time.Sleep(2 * time.Second)
	since := journalEnd(t)
	time.Sleep(time.Minute)
	if seen := writes.files(); len(seen) != 0 {
		t.Errorf("writes in a quiet minute: %v", seen)
	}
	for _, e := range since.unitEntries(t) {
		t.Errorf("journal in a quiet minute: %s", e.get("MESSAGE"))
	}
	s, code := document(t, "status")
	h := settingOf(s, "hashsize")
	if h.State != "in-sync" || h.Live != sysfs.Number(10240) || h.Want != sysfs.Number(10000) || code != 0 {
		t.Errorf("status: hashsize want %v, live %v, %s; exit status %d", h.Want, h.Live, h.State, code)
	}
	if h.Drifts > 1 {
		t.Errorf("hashsize drifted %d times", h.Drifts)
	}
}

// TestOrder: the hash table is raised before max, and max is lowered before it.
func TestOrder(t *testing.T) {
	config := "settings:\n  max: %d\n  hashsize: %d\n"
	since := startDaemon(t, fmt.Sprintf(config, 20000, 10240))
	run(t, "modprobe", "nf_conntrack")
	waitApplied(t, prompt, map[string]string{"buckets": "10240", "max": "20000"})
	since.wait(t, "drift", "max") // raised by the kernel for the hash size of the boot files
	writes := logWrites(t)
	for _, c := range []struct {
		max, hashsize int
		order         []string
	}{
		{400000, 102400, []string{sysctl("buckets"), sysctl("max")}},
		{20000, 10240, []string{sysctl("max"), sysctl("buckets")}},
	} {
		writes.reset()
		writeFile(t, mainFile, fmt.Sprintf(config, c.max, c.hashsize))
		run(t, "systemctl", "reload", unit)
		waitApplied(t, prompt, map[string]string{"buckets": fmt.Sprint(c.hashsize), "max": fmt.Sprint(c.max)})
		eventually(t, prompt, "both writes are done", func() bool { return len(writes.files()) >= len(c.order) })
		if seen := writes.files(); fmt.Sprint(seen) != fmt.Sprint(c.order) {
			t.Errorf("to max %d, hashsize %d: wrote %v, want %v", c.max, c.hashsize, seen, c.order)
		}
	}
}

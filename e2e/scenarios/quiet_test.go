//go:build guest

package scenarios

import (
	"fmt"
	"testing"
	"time"
)

// TestQuiet: hashsize 10000 is wanted, the kernel makes it 10240, and that is in
// sync. Over a minute with a look every second not one file is written and not
// one journal entry comes.
func TestQuiet(t *testing.T) {
	begin := startDaemon(t, "settings:\n  hashsize: 10000\n  max: 20000\nenforcement:\n  resync: 1s\n")
	run(t, "modprobe", "nf_conntrack")
	want := map[string]string{"buckets": "10240", "max": "20000"}
	waitApplied(t, prompt, want)
	// The boot files bring the hash size along, and with it a max that the daemon
	// lowers: once it has said that, the write is over.
	begin.wait(t, "drift", "max")

	writes := logWrites(t)
	// A write through another procfs is not in the log, so what is there must be
	// the daemon's: the proof that its writes are seen.
	run(t, "unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", "echo 30000 > "+sysctl("max"))
	waitApplied(t, prompt, want)
	if seen := writes.files(); len(seen) != 1 || seen[0] != sysctl("max") {
		t.Fatalf("one repair is one write to max; the log has %v", seen)
	}
	writes.reset()
	// The drift is in the journal by now; what comes after it is counted.
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
	h := s.setting("hashsize")
	if h.State != "in-sync" || h.Now != "10240" || h.Want != "10000" || code != 0 {
		t.Errorf("status: hashsize wanted %s, is %s, %s; exit status %d", h.Want, h.Now, h.State, code)
	}
	if h.Drifts > 1 {
		t.Errorf("hashsize drifted %d times", h.Drifts)
	}
}

// TestOrder: raising, the hash table grows before max; lowering, max goes down
// before it.
func TestOrder(t *testing.T) {
	config := "settings:\n  max: %d\n  hashsize: %d\n"
	since := startDaemon(t, fmt.Sprintf(config, 20000, 10240))
	run(t, "modprobe", "nf_conntrack")
	waitApplied(t, prompt, map[string]string{"buckets": "10240", "max": "20000"})
	since.wait(t, "drift", "max") // which the hash size of the boot files made larger
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
		eventually(t, prompt, "both writes are over", func() bool { return len(writes.files()) >= len(c.order) })
		if seen := writes.files(); fmt.Sprint(seen) != fmt.Sprint(c.order) {
			t.Errorf("to max %d, hashsize %d: wrote %v, want %v", c.max, c.hashsize, seen, c.order)
		}
	}
}

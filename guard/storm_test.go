package guard

import (
	"os/exec"
	"testing"
	"time"

	"github.com/ctkeeper/ctkeeper/internal/netns"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// TestStorm: a storm of writes causes a bounded number of wakes, and the write after it is reported.
func TestStorm(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	cgroup, g := guardInCgroup(t)
	setWants(t, g, Watch, wantOf(t, "tcp_timeout_close", "20"))
	s := runGuard(t, g)
	began := time.Now()
	enterCgroup(t, cgroup)
	storm := exec.Command("sh", "-c", "i=0; while [ $i -lt 60000 ]; do echo 20; i=$((i+1)); done >"+timeoutFile)
	if out, err := storm.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	wakes, _, _ := s.counts()
	if most := (int(time.Since(began)/burstTime) + 2) * burst; wakes > most {
		t.Errorf("%d wakes in %s, want %d at most", wakes, time.Since(began), most)
	}
	time.Sleep(2 * burstTime) // until the rest of the buffer is read
	before := time.Now()
	pid, err := writeIn(t, cgroup, timeoutFile, "21")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the writer of the last write", func() bool {
		by := g.WriterOf(sysfs.Lookup("tcp_timeout_close"), sysfs.Number(21), before.Add(-time.Second))
		return by != nil && by.PID == pid
	})
}

package guard

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/ctkeeper/ctkeeper/internal/netns"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// A storm of writes costs a bounded number of looks, and is seen to its end.
func TestStorm(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	cgroup := newCgroup(t, fmt.Sprintf("ctkeeper-test-%d.service", os.Getpid()))
	g := openGuard(t, Options{Cgroup: cgroup})
	setWants(t, g, false, wantOf(t, "tcp_timeout_close", "20"))
	s := runGuard(t, g)
	began := time.Now()
	enterCgroup(t, cgroup)
	storm := exec.Command("sh", "-c", "i=0; while [ $i -lt 60000 ]; do echo 20; i=$((i+1)); done >"+timeoutFile)
	if out, err := storm.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	looks, _, _ := s.counts()
	if most := (int(time.Since(began)/burstTime) + 2) * burst; looks > most {
		t.Errorf("%d looks in %s, want %d at most", looks, time.Since(began), most)
	}
	time.Sleep(2 * burstTime) // what was left in the buffer is read then
	before := time.Now()
	pid, err := writeIn(t, cgroup, timeoutFile, "21")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the writer's name", func() bool {
		by := g.WriterOf(sysfs.Lookup("tcp_timeout_close"), sysfs.Number(21), before.Add(-time.Second))
		return by != nil && by.PID == pid
	})
}

//go:build guest && upgrade

package scenarios

import (
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// The scenario of TestUpgrade in ../upgrade_test.go, on a machine without ctkeeper.

// disturb unloads and loads the module, and writes max, in turns of their own until the returned function is called.
func disturb() (stop func() (unloads, writes int)) {
	var tasks sync.WaitGroup
	var unloads, writes int
	done := make(chan struct{})
	every := func(interval time.Duration, do func()) {
		tasks.Go(func() {
			for {
				select {
				case <-done:
					return
				case <-time.After(interval):
					do()
				}
			}
		})
	}
	every(time.Second, func() {
		if exec.Command("modprobe", "-r", "nf_conntrack").Run() == nil {
			unloads++
		}
		_ = exec.Command("modprobe", "nf_conntrack").Run()
	})
	every(200*time.Millisecond, func() {
		if tryWrite(sysctl("max"), "65536") == nil {
			writes++
		}
	})
	return func() (int, int) {
		close(done)
		tasks.Wait()
		return unloads, writes
	}
}

// TestUpgradeUnderLoad upgrades the package while the module is unloaded and loaded, and a foreign program writes.
func TestUpgradeUnderLoad(t *testing.T) {
	dir := os.Getenv("CTKEEPER_E2E_DIR")
	run(t, "sh", "-c", "dpkg -i "+dir+"/before/ctkeeper_*.deb")
	writeFile(t, mainFile, strings.Replace(usual, "60s", "5s", 1))
	run(t, "modprobe", "nf_conntrack")
	waitApplied(t, prompt, usualValues)
	write(t, sysctl("max"), "65536")
	waitApplied(t, prompt, usualValues)
	since, pid := journalEnd(t), mainPID(t)
	before, _ := runStdout(t, "ctkeeper", "events", "-o", "json")

	writeFile(t, "/etc/apt/sources.list", "deb [trusted=yes] file:"+dir+"/after ./\n")
	run(t, "apt-get", "-q", "update")
	stop := disturb()
	t.Log(run(t, "apt-get", "-q", "-y", "upgrade"))
	unloads, writes := stop()
	t.Logf("%d unloads and %d writes during the upgrade", unloads, writes)
	if unloads == 0 || writes == 0 {
		t.Error("nothing disturbed the upgrade")
	}
	run(t, "modprobe", "nf_conntrack")
	// The writes were so many that repairs backed off, to 30 s at most.
	t.Logf("right again after %s", waitApplied(t, 40*time.Second, usualValues))

	// The exit status of status is 1 for a while after a contest.
	if s, _ := document(t, "status"); s.Daemon.Version != "0.1.0+after" || s.Daemon.PID == pid {
		t.Errorf("daemon %+v; the pid before was %d", s.Daemon, pid)
	}
	if restarts := property(t, "NRestarts"); restarts != "0" || !isActive(t) {
		t.Errorf("%s restarts; active: %t", restarts, isActive(t))
	}
	if after, _ := runStdout(t, "ctkeeper", "events", "-o", "json"); !strings.HasPrefix(after, before) {
		t.Errorf("the history before the upgrade is gone:\n%s\nbefore:\n%s", after, before)
	}
	for _, e := range since.query(t, "-u", unit, "-p", "err") {
		// A write between the repair and reading it back is reported so.
		if e.get("CTKEEPER_RESULT") != "failed" {
			t.Errorf("error in the journal: %s", e.get("MESSAGE"))
		}
	}
}

//go:build guest && upgrade

package scenarios

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// The scenario of TestUpgrade in ../upgrade_test.go, on a machine without ctkeeper.

// offer makes the packages of a build those that apt can install.
func offer(t *testing.T, build string) {
	t.Helper()
	archive := filepath.Join(os.Getenv("CTKEEPER_E2E_DIR"), build)
	writeFile(t, "/etc/apt/sources.list", "deb [trusted=yes] file:"+archive+" ./\n")
	run(t, "apt-get", "-q", "update")
}

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
	every(500*time.Millisecond, func() {
		if exec.Command("modprobe", "-r", "nf_conntrack").Run() == nil {
			unloads++
		}
		_ = exec.Command("modprobe", "nf_conntrack").Run()
	})
	every(50*time.Millisecond, func() {
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
	offer(t, "before")
	run(t, "apt-get", "-q", "-y", "install", "ctkeeper")
	writeFile(t, mainFile, strings.Replace(usual, "60s", "5s", 1))
	run(t, "modprobe", "nf_conntrack")
	waitApplied(t, prompt, usualValues)
	write(t, sysctl("max"), "65536")
	waitApplied(t, prompt, usualValues)
	since, pid := journalEnd(t), mainPID(t)
	before, _ := runStdout(t, "ctkeeper", "events", "-o", "json")

	stop := disturb()
	offer(t, "after")
	t.Log(run(t, "apt-get", "-q", "-y", "upgrade"))
	unloads, writes := stop()
	t.Logf("%d unloads and %d writes during the upgrade", unloads, writes)
	if unloads == 0 || writes == 0 {
		t.Error("nothing disturbed the upgrade")
	}
	run(t, "modprobe", "nf_conntrack")
	// The writes were so many that repairs backed off, to 30 s at most.
	t.Logf("right again after %s", waitApplied(t, 40*time.Second, usualValues))

	if s, code := document(t, "status"); code != 0 || s.Daemon.Version != "0.1.0+after" || s.Daemon.PID == pid {
		t.Errorf("status: exit status %d, daemon %+v; the pid before was %d", code, s.Daemon, pid)
	}
	if restarts := property(t, "NRestarts"); restarts != "0" || !isActive(t) {
		t.Errorf("%s restarts; active: %t", restarts, isActive(t))
	}
	if n := len(since.query(t, "-u", unit, "JOB_TYPE=start", "JOB_RESULT=done")); n > 1 {
		t.Errorf("the unit was started %d times", n)
	}
	if after, _ := runStdout(t, "ctkeeper", "events", "-o", "json"); !strings.HasPrefix(after, before) {
		t.Errorf("the history before the upgrade is gone:\n%s\nbefore:\n%s", after, before)
	}
	for _, e := range since.query(t, "-u", unit, "-p", "err") {
		t.Errorf("error in the journal: %s", e.get("MESSAGE"))
	}
}

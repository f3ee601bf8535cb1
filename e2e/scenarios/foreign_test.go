//go:build guest

package scenarios

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestForeignWrites: a foreign write through this host's /proc or /sys is repaired at once, and the journal has the
// value that was found.
func TestForeignWrites(t *testing.T) {
	startWithModule(t)
	for name, c := range map[string]struct {
		write          func(t *testing.T)
		setting, found string
	}{
		"sysctl": {func(t *testing.T) {
			run(t, "sysctl", "-q", "-w", "net.netfilter.nf_conntrack_max=65536")
		}, "max", "65536"},
		"alias": {func(t *testing.T) {
			run(t, "sysctl", "-q", "-w", "net.nf_conntrack_max=65537")
		}, "max", "65537"},
		"shell": {func(t *testing.T) {
			run(t, "sh", "-c", "echo 16384 > "+filepath.Join(paramDir, "hashsize"))
		}, "hashsize", "16384"},
		"buckets":    {func(t *testing.T) { write(t, sysctl("buckets"), "8192") }, "hashsize", "8192"},
		"expect_max": {func(t *testing.T) { write(t, sysctl("expect_max"), "256") }, "expect_max", "256"},
		"timeout": {func(t *testing.T) {
			write(t, sysctl("tcp_timeout_established"), "432000")
		}, "tcp_timeout_established", "432000"},
	} {
		t.Run(name, func(t *testing.T) {
			since := journalEnd(t)
			c.write(t)
			t.Logf("repaired after %s", waitApplied(t, prompt, usualValues))
			e := since.wait(t, "drift", c.setting)
			if found, cause := e.get("CTKEEPER_FOUND"), e.get("CTKEEPER_CAUSE"); found != c.found || cause != "write" {
				t.Errorf("found %s, cause %s; want %s, write", found, cause, c.found)
			}
		})
	}
}

// TestForeignProc: inotify does not report a write through another mount of /proc, as containers have. The resync
// finds it.
func TestForeignProc(t *testing.T) {
	const resync = 5 * time.Second
	since := startDaemon(t, strings.Replace(usual, "60s", resync.String(), 1))
	run(t, "modprobe", "nf_conntrack")
	waitApplied(t, prompt, usualValues)
	for range 3 {
		before := journalEnd(t)
		run(t, "unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", "echo 65536 > "+sysctl("max"))
		// A resync has jitter, and a pass is slow here.
		t.Logf("repaired after %s", waitApplied(t, resync+resync/2, usualValues))
		if cause := before.wait(t, "drift", "max").get("CTKEEPER_CAUSE"); cause != "resync" {
			t.Errorf("cause %s, want resync", cause)
		}
	}
	if n := len(since.events(t, "contested")); n != 0 {
		t.Errorf("%d contested", n)
	}
}

// TestContest: writes of another program that does not stop are repaired at once for a while, then at growing
// intervals. The journal has one entry when that begins and one when it ends, not a thousand.
func TestContest(t *testing.T) {
	since := startWithModule(t)
	began := time.Now()
	for range 1000 {
		if err := tryWrite(sysctl("max"), "65536"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(15 * time.Millisecond)
	}
	took := time.Since(began)
	contested := since.wait(t, "contested", "max")
	if e := contested; e.get("CTKEEPER_WANT") != "300000" || e.get("CTKEEPER_FOUND") != "65536" {
		t.Errorf("contested: want %s, found %s", e.get("CTKEEPER_WANT"), e.get("CTKEEPER_FOUND"))
	}
	// The backoff grows to 30 s. Settled needs some time without a write after it.
	t.Logf("1000 writes in %s; repaired %s later", took, waitApplied(t, 40*time.Second, usualValues))
	settled := since.waitFor(t, time.Minute, "settled", "max")
	t.Log(contested.get("MESSAGE"))
	t.Log(settled.get("MESSAGE"))
	for _, kind := range []string{"contested", "settled"} {
		if n := len(since.events(t, kind)); n != 1 {
			t.Errorf("%[2]d entries of %[1]s, want 1", kind, n)
		}
	}
	// One drift is that of the load, ten are the burst.
	if n := len(since.events(t, "drift", "max")); n > 30 {
		t.Errorf("%d drift entries, want at most 30", n)
	}
	s, _ := document(t, "status")
	if state := settingOf(s, "max").State; state != "in-sync" {
		t.Errorf("status: %s", state)
	}
	// Now a write is repaired at once again.
	write(t, sysctl("max"), "65536")
	waitApplied(t, prompt, usualValues)
}

// TestThousandWritesAtOnce: a program writes as fast as it can. In the end the value is repaired, and the daemon was
// neither restarted nor did it flood the journal.
func TestThousandWritesAtOnce(t *testing.T) {
	since := startWithModule(t)
	pid := mainPID(t)
	f, err := os.OpenFile(sysctl("max"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for range 1000 {
		if _, err := f.WriteAt([]byte("65536"), 0); err != nil {
			t.Fatal(err)
		}
	}
	waitApplied(t, 40*time.Second, usualValues)
	if mainPID(t) != pid {
		t.Error("the daemon was restarted")
	}
	if n := len(since.events(t, "drift", "max")); n > 30 {
		t.Errorf("%d drift entries", n)
	}
	if n := len(since.events(t, "contested")); n > 1 {
		t.Errorf("%d entries of contested, want at most 1", n)
	}
}

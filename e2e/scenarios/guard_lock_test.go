//go:build guest

package scenarios

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/sysfs"
	"github.com/ctkeeper/ctkeeper/systemd"
)

// locked is usual with a locked guard.
const locked = usual + "guard: lock\n"

// refused fails unless a write is refused, and the value stays.
func checkRefused(t *testing.T, path, value string) {
	t.Helper()
	if err := tryWrite(path, value); !errors.Is(err, syscall.EPERM) {
		t.Errorf("%s to %s: %v, want EPERM", filepath.Base(path), value, err)
	}
	if !isApplied(usualValues) {
		t.Errorf("%s to %s: refused, yet values changed", filepath.Base(path), value)
	}
}

// accepted fails unless a write goes through.
func checkAccepted(t *testing.T, path, value string) {
	t.Helper()
	if err := tryWrite(path, value); err != nil {
		t.Errorf("%s to %s: %v", filepath.Base(path), value, err)
	}
}

// refusals is how many writes to a setting the daemon says it refused.
func countRefused(t *testing.T, setting string) int {
	t.Helper()
	for _, r := range statusDocument(t).Guard.Refused {
		if r.Setting == setting {
			return r.Count
		}
	}
	return 0
}

// TestGuardLock: who writes another value is told "operation not permitted", and nothing
// happens; who writes the wanted one is let through.
func TestGuardLock(t *testing.T) {
	begin := startWithGuard(t, locked, status.GuardLocked, systemd.GuardStep)
	for _, name := range []string{"net.netfilter.nf_conntrack_max", "net.nf_conntrack_max"} {
		out, code := try(t, "sysctl", "-w", name+"=65536")
		t.Logf("sysctl -w %s=65536: exit status %d\n%s", name, code, out)
		if code == 0 || !strings.Contains(out, "Operation not permitted") {
			t.Errorf("want an error that says: Operation not permitted")
		}
	}
	for _, c := range []struct{ path, value string }{
		{sysctl("max"), "65536"}, {alias, "65536"}, {sysctl("max"), "0x10000"}, {sysctl("max"), "0"}, {sysctl("max"), "junk"},
		{sysctl("buckets"), "99840"}, {sysctl("buckets"), "100353"}, {sysctl("expect_max"), "4095"},
	} {
		checkRefused(t, c.path, c.value)
	}
	if _, err := containerCommand(strings.Join(onceCommand("max", "65536"), " ")).CombinedOutput(); err == nil || !isApplied(usualValues) {
		t.Errorf("in a container: %v", err)
	}
	out, _ := try(t, "sh", "-c", "echo 65536 > "+sysctl("max"))
	t.Logf("a shell says: %s", out)
	since, count := begin.last(t), countRefused(t, "max")
	for _, c := range []struct{ path, value string }{
		{sysctl("max"), "300000"}, {alias, "300000"}, {sysctl("max"), "0x493e0"}, {sysctl("max"), "01111740"},
		{sysctl("buckets"), "100352"}, {sysctl("buckets"), "100000"}, {sysctl("buckets"), "99841"}, {sysctl("expect_max"), "4096"},
	} {
		checkAccepted(t, c.path, c.value)
		if !isApplied(usualValues) {
			t.Errorf("%s to %s changed values", filepath.Base(c.path), c.value)
		}
	}
	if n := countRefused(t, "max"); n != count {
		t.Errorf("%d refusals after the wanted values, were %d", n, count)
	}
	for _, e := range since.unitEntries(t) {
		t.Errorf("after the wanted values the journal has: %s", e.get("MESSAGE"))
	}
}

// last is the journal's end, once all that happened until now is in it.
func (c cursor) last(t *testing.T) cursor {
	t.Helper()
	time.Sleep(500 * time.Millisecond)
	end := c
	for _, e := range c.query(t) {
		end = max(end, e.at())
	}
	return end
}

// TestGuardLockSaysOnce: fifty refused writes of one unit are one entry, and fifty in the
// figures. Of many units each has its own.
func TestGuardLockSaysOnce(t *testing.T) {
	const writes, units = 50, 15
	since := startWithGuard(t, locked, status.GuardLocked, systemd.GuardStep)
	names := statusDocument(t).Guard.Names
	if code := runAsUnit(t, "e2e-stubborn", onceCommand("max", "65536", fmt.Sprint(writes))...); code != int(syscall.EPERM) {
		t.Errorf("the unit's last write: errno %d, want EPERM", code)
	}
	eventually(t, prompt, "all are counted", func() bool { return countRefused(t, "max") == writes })
	said := since.events(t, "refused-write", "max")
	if len(said) != 1 {
		t.Fatalf("said %d times", len(said))
	}
	t.Log(said[0].get("MESSAGE"))
	by := writerOf(said[0])
	delete(by, "CTKEEPER_BY_PID")
	want := visiblePart(names, sysfs.Writer{Comm: "once", Unit: "e2e-stubborn.service"})
	if diff := cmp.Diff(writerFields(want), by); diff != "" {
		t.Errorf("journal (-want +got):\n%s", diff)
	}
	if e := said[0]; e.get("CTKEEPER_VALUE") != "65536" || e.get("CTKEEPER_WANT") != "300000" {
		t.Errorf("value %s, want %s", e.get("CTKEEPER_VALUE"), e.get("CTKEEPER_WANT"))
	}
	if n := metric(t, `ctkeeper_refused_writes_total{by="e2e-stubborn.service",setting="max"}`); n != writes {
		t.Errorf("metrics: %g refused", n)
	}
	last := statusDocument(t).Guard.Refused[0].Last
	if last.Value != "65536" || last.By.Unit != "e2e-stubborn.service" {
		t.Errorf("status: last %+v", last)
	}
	wanted := map[string]bool{"e2e-stubborn.service": true}
	for i := range units {
		name := fmt.Sprintf("e2e-refused-%d.service", i)
		run(t, "systemd-run", append([]string{"-q", "--collect", "--unit=" + name}, onceCommand("max", "65536")...)...)
		wanted[name] = true
	}
	got := map[string]bool{}
	eventually(t, prompt, "every unit in the journal", func() bool {
		all := since.events(t, "refused-write", "max")
		for _, e := range all {
			got[e.get("CTKEEPER_BY_UNIT")] = true
		}
		return len(all) == len(wanted)
	})
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Errorf("units that were refused (-want +got):\n%s", diff)
	}
	if n := len(since.events(t, "drift", "max")); n != 1 { // that of the load
		t.Errorf("%d drifts of max", n)
	}
}

// TestGuardLockLeavesOut: what the lock does not cover is repaired as ever.
func TestGuardLockLeavesOut(t *testing.T) {
	since := startWithGuard(t, locked, status.GuardLocked, systemd.GuardStep)
	names := statusDocument(t).Guard.Names
	pid := pidOf(t, onceCommand("tcp_timeout_established", "999")...)
	waitApplied(t, prompt, usualValues)
	since.checkDrift(t, "tcp_timeout_established", "999", visiblePart(names, sysfs.Writer{PID: pid, Comm: "once", Unit: scenarioUnit}))
	checkAccepted(t, filepath.Join(paramDir, "hashsize"), "16384")
	waitApplied(t, prompt, usualValues)
	since.waitDrift(t, "hashsize", "16384")
}

// TestGuardLockAtLeast: where a least value is wanted, a larger one is let through and stays.
func TestGuardLockAtLeast(t *testing.T) {
	const config = "settings:\n  max: {at_least: 900000}\n  hashsize: {at_least: 100000}\nguard: lock\n"
	startGuard(t, config, status.GuardLocked, systemd.GuardStep)
	waitApplied(t, prompt, map[string]string{"max": "900000", "buckets": "100352"})
	for _, c := range []struct {
		setting, value string
		refused        bool
	}{
		{"max", "899999", true}, {"buckets", "99840", true}, {"max", "900001", false}, {"buckets", "131072", false},
		{"max", "900000", false}, {"max", "65536", true}, {"max", "1000000", false},
	} {
		before := read(c.setting)
		err := tryWrite(sysctl(c.setting), c.value)
		time.Sleep(100 * time.Millisecond)
		switch now := read(c.setting); {
		case c.refused && (!errors.Is(err, syscall.EPERM) || now != before):
			t.Errorf("%s to %s: %v, want EPERM; it is %s", c.setting, c.value, err, now)
		case !c.refused && (err != nil || now != c.value):
			t.Errorf("%s to %s: %v, and it is %s", c.setting, c.value, err, now)
		}
	}
}

// TestGuardLockAllow: named units, alone or by their slice, may write; the pass repairs. A unit
// that is only just started may be refused, which says how long the lock takes to know it.
func TestGuardLockAllow(t *testing.T) {
	const starts = 20
	since := startWithGuard(t, usual+"guard: {mode: lock, allow: [e2e-friend.service, e2e-zone.slice]}\n", status.GuardLocked, systemd.GuardStep)
	names := statusDocument(t).Guard.Names
	delayed := func(value string) []string {
		return []string{"sh", "-c", "sleep 0.5; exec " + strings.Join(onceCommand("max", value), " ")}
	}
	for i, c := range []struct {
		name    string
		options []string
		errno   syscall.Errno
	}{
		{"e2e-friend", nil, 0},
		{"e2e-guest", []string{"--slice=e2e-zone.slice"}, 0},
		{"e2e-stranger", nil, syscall.EPERM},
		{"e2e-stranger", []string{"--slice=e2e-zone2.slice"}, syscall.EPERM},
	} {
		value := fmt.Sprint(80000 + i)
		if code := runAsUnitWith(t, c.name, c.options, delayed(value)...); code != int(c.errno) {
			t.Errorf("%s %v: errno %d, want %d", c.name, c.options, code, c.errno)
		}
		waitApplied(t, prompt, usualValues)
		if c.errno == 0 {
			e := since.waitDrift(t, "max", value)
			want := writerFields(visiblePart(names, sysfs.Writer{Comm: "once", Unit: c.name + ".service"}))
			by := writerOf(e)
			delete(by, "CTKEEPER_BY_PID")
			if diff := cmp.Diff(want, by); diff != "" {
				t.Errorf("journal (-want +got):\n%s", diff)
			}
		}
	}
	tooEarly := 0
	for i := range starts {
		setting, value := []string{"max", "expect_max", "buckets"}[i%3], fmt.Sprint(81920+512*i)
		if code := runAsUnit(t, "e2e-friend", onceCommand(setting, value)...); code != 0 {
			tooEarly++
		}
		waitApplied(t, prompt, usualValues)
	}
	t.Logf("an allowed unit whose first act is the write was refused %d times of %d", tooEarly, starts)
}

// TestGuardLockReload: the mode and what is wanted change by a reload, and the daemon's own
// writes go through each time.
func TestGuardLockReload(t *testing.T) {
	since := startWithGuard(t, usual+"guard: watch\n", status.GuardWatching, systemd.GuardStep)
	reload := func(guard string, state status.GuardState, max string) {
		t.Helper()
		writeFile(t, mainFile, strings.Replace(usual, "300000", max, 1)+"guard: "+guard+"\n")
		run(t, "systemctl", "reload", unit)
		waitGuard(t, state)
		waitApplied(t, prompt, map[string]string{"max": max, "buckets": "100352"})
	}
	reload("lock", status.GuardLocked, "300000")
	checkRefused(t, sysctl("max"), "65536")
	for i := range 3 {
		wanted := fmt.Sprint(310000 + 1000*(i%2))
		reload("lock", status.GuardLocked, wanted)
		if err := tryWrite(sysctl("max"), "300000"); !errors.Is(err, syscall.EPERM) {
			t.Errorf("with %s wanted, 300000: %v", wanted, err)
		}
		checkAccepted(t, sysctl("max"), wanted)
	}
	reload("{mode: lock, allow: ["+scenarioUnit+"]}", status.GuardLocked, "300000")
	checkAccepted(t, sysctl("max"), "70001")
	waitApplied(t, prompt, usualValues)
	reload("lock", status.GuardLocked, "300000")
	checkRefused(t, sysctl("max"), "65536")
	reload("watch", status.GuardWatching, "300000")
	checkAccepted(t, sysctl("max"), "70002")
	waitApplied(t, prompt, usualValues)
	since.waitDrift(t, "max", "70002")
	reload("off", status.GuardOff, "300000")
	checkAccepted(t, sysctl("max"), "70003")
	waitApplied(t, prompt, usualValues)
	if by := writerOf(since.waitDrift(t, "max", "70003")); len(by) != 0 {
		t.Errorf("with the guard off: %v", by)
	}
	for _, kind := range []string{"failed", "forbidden", "contested"} {
		if n := len(since.events(t, kind)); n != 0 {
			t.Errorf("%d %s", n, kind)
		}
	}
	for _, e := range since.events(t, "refused-write") {
		if e.get("CTKEEPER_BY_UNIT") != scenarioUnit {
			t.Errorf("refused: %s", e.get("MESSAGE"))
		}
	}
}

// TestGuardLockEnds: the lock goes with the daemon, however it ends, and comes with the next.
func TestGuardLockEnds(t *testing.T) {
	startWithGuard(t, locked, status.GuardLocked, systemd.GuardStep)
	checkRefused(t, sysctl("max"), "65536")
	run(t, "systemctl", "stop", unit)
	checkAccepted(t, sysctl("max"), "65536")
	// The unit's own RestartSec leaves no time to look.
	writeFile(t, filepath.Join("/etc/systemd/system", unit+".d", "restart.conf"), "[Service]\nRestartSec=3s\n")
	run(t, "systemctl", "daemon-reload")
	run(t, "systemctl", "start", unit)
	waitGuard(t, status.GuardLocked)
	waitApplied(t, prompt, usualValues)
	checkRefused(t, sysctl("max"), "65536")

	signal(t, syscall.SIGKILL)
	killed := time.Now()
	took := eventually(t, prompt, "a write goes through after the kill", func() bool { return tryWrite(sysctl("max"), "65536") == nil })
	if again := property(t, "NRestarts"); again != "0" {
		t.Errorf("NRestarts=%s: the write was too late to prove anything", again)
	}
	t.Logf("a foreign write passed %s after the kill", took)
	waitApplied(t, 10*time.Second, usualValues)
	t.Logf("right again %s after the kill", time.Since(killed))
	waitGuard(t, status.GuardLocked)
	checkRefused(t, sysctl("max"), "65536")
}

// TestGuardLockObserve: who only observes refuses nothing.
func TestGuardLockObserve(t *testing.T) {
	since := cleanHost(t)
	writeFile(t, mainFile, strings.Replace(locked, "enforcement:\n", "enforcement:\n  mode: observe\n", 1))
	run(t, "sh", "-c", systemd.GuardStep)
	run(t, "modprobe", "nf_conntrack")
	waitGuard(t, status.GuardWatching)
	since.wait(t, "module-load")
	pid := pidOf(t, onceCommand("max", "70000")...)
	e := since.waitDrift(t, "max", "70000")
	by := visiblePart(statusDocument(t).Guard.Names, sysfs.Writer{PID: pid, Comm: "once", Unit: scenarioUnit})
	if diff := cmp.Diff(writerFields(by), writerOf(e)); diff != "" {
		t.Errorf("journal (-want +got):\n%s", diff)
	}
	if got := read("max"); got != "70000" {
		t.Errorf("max is %s", got)
	}
}

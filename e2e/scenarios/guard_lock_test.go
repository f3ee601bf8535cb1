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

// locked is usual with the guard's lock.
const locked = usual + "guard: lock\n"

// checkRefused checks that a write is refused and changes nothing.
func checkRefused(t *testing.T, path, value string) {
	t.Helper()
	if err := tryWrite(path, value); !errors.Is(err, syscall.EPERM) {
		t.Errorf("%s to %s: %v, want EPERM", filepath.Base(path), value, err)
	}
	if !isApplied(usualValues) {
		t.Errorf("%s to %s: the refused write changed values", filepath.Base(path), value)
	}
}

// checkAccepted checks that a write is accepted.
func checkAccepted(t *testing.T, path, value string) {
	t.Helper()
	if err := tryWrite(path, value); err != nil {
		t.Errorf("%s to %s: %v", filepath.Base(path), value, err)
	}
}

// countRefused returns how many writes to a setting the status counts as refused.
func countRefused(t *testing.T, setting string) int {
	t.Helper()
	for _, r := range statusDocument(t).Guard.Refused {
		if r.Setting == setting {
			return r.Count
		}
	}
	return 0
}

// TestGuardLock: a foreign write of another value fails with "operation not permitted" and changes nothing. One of
// the wanted value is accepted.
func TestGuardLock(t *testing.T) {
	begin := startWithGuard(t, locked, status.GuardLocked, systemd.GuardStep)
	for _, name := range []string{"net.netfilter.nf_conntrack_max", "net.nf_conntrack_max"} {
		out, code := try(t, "sysctl", "-w", name+"=65536")
		t.Logf("sysctl -w %s=65536: exit status %d\n%s", name, code, out)
		if code == 0 || !strings.Contains(out, "Operation not permitted") {
			t.Errorf("sysctl -w %s: want an error with: Operation not permitted", name)
		}
	}
	for _, c := range []struct{ path, value string }{
		{sysctl("max"), "65536"}, {alias, "65536"}, {sysctl("max"), "0x10000"}, {sysctl("max"), "0"},
		{sysctl("max"), "junk"}, {sysctl("buckets"), "99840"}, {sysctl("buckets"), "100353"},
		{sysctl("expect_max"), "4095"},
	} {
		checkRefused(t, c.path, c.value)
	}
	inside := containerCommand(strings.Join(onceCommand("max", "65536"), " "))
	if _, err := inside.CombinedOutput(); err == nil || !isApplied(usualValues) {
		t.Errorf("in a container: %v", err)
	}
	out, _ := try(t, "sh", "-c", "echo 65536 > "+sysctl("max"))
	t.Logf("output of a shell: %s", out)
	since, count := begin.last(t), countRefused(t, "max")
	for _, c := range []struct{ path, value string }{
		{sysctl("max"), "300000"}, {alias, "300000"}, {sysctl("max"), "0x493e0"}, {sysctl("max"), "01111740"},
		{sysctl("buckets"), "100352"}, {sysctl("buckets"), "100000"}, {sysctl("buckets"), "99841"},
		{sysctl("expect_max"), "4096"},
	} {
		checkAccepted(t, c.path, c.value)
		if !isApplied(usualValues) {
			t.Errorf("%s to %s changed values", filepath.Base(c.path), c.value)
		}
	}
	if n := countRefused(t, "max"); n != count {
		t.Errorf("%d refusals after writes of the wanted values, %d before", n, count)
	}
	for _, e := range since.unitEntries(t) {
		t.Errorf("in the journal after writes of the wanted values: %s", e.get("MESSAGE"))
	}
}

// last returns the end of the journal when it has everything that happened until now.
func (c cursor) last(t *testing.T) cursor {
	t.Helper()
	time.Sleep(500 * time.Millisecond)
	end := c
	for _, e := range c.query(t) {
		end = max(end, e.at())
	}
	return end
}

// TestGuardLockReportsOnce: fifty refused writes of one unit are one journal entry, and are counted as fifty. Each
// unit has an entry of its own.
func TestGuardLockReportsOnce(t *testing.T) {
	const writes, units = 50, 15
	since := startWithGuard(t, locked, status.GuardLocked, systemd.GuardStep)
	names := statusDocument(t).Guard.Names
	code := runAsUnit(t, "e2e-stubborn", onceCommand("max", "65536", fmt.Sprint(writes))...)
	if code != int(syscall.EPERM) {
		t.Errorf("the unit's last write: errno %d, want EPERM", code)
	}
	eventually(t, prompt, "all are counted", func() bool { return countRefused(t, "max") == writes })
	entries := since.events(t, "refused-write", "max")
	if len(entries) != 1 {
		t.Fatalf("%d entries, want 1", len(entries))
	}
	t.Log(entries[0].get("MESSAGE"))
	by := writerOf(entries[0])
	delete(by, "CTKEEPER_BY_PID")
	want := visiblePart(names, sysfs.Writer{Comm: "once", Unit: "e2e-stubborn.service"})
	if diff := cmp.Diff(writerFields(want), by); diff != "" {
		t.Errorf("journal (-want +got):\n%s", diff)
	}
	if e := entries[0]; e.get("CTKEEPER_VALUE") != "65536" || e.get("CTKEEPER_WANT") != "300000" {
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

// TestGuardLockExceptions: what the lock does not cover is repaired.
func TestGuardLockExceptions(t *testing.T) {
	since := startWithGuard(t, locked, status.GuardLocked, systemd.GuardStep)
	names := statusDocument(t).Guard.Names
	pid := pidOf(t, onceCommand("tcp_timeout_established", "999")...)
	waitApplied(t, prompt, usualValues)
	by := visiblePart(names, sysfs.Writer{PID: pid, Comm: "once", Unit: scenarioUnit})
	since.checkDrift(t, "tcp_timeout_established", "999", by)
	checkAccepted(t, filepath.Join(paramDir, "hashsize"), "16384")
	waitApplied(t, prompt, usualValues)
	since.waitDrift(t, "hashsize", "16384")
}

// TestGuardLockAtLeast: with at_least a larger value is accepted and stays.
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
		switch live := read(c.setting); {
		case c.refused && (!errors.Is(err, syscall.EPERM) || live != before):
			t.Errorf("%s to %s: %v, want EPERM; live value %s", c.setting, c.value, err, live)
		case !c.refused && (err != nil || live != c.value):
			t.Errorf("%s to %s: %v; live value %s", c.setting, c.value, err, live)
		}
	}
}

// TestGuardLockAllow: writes of allowed units, or of units in an allowed slice, are accepted and then repaired. A
// write right after the unit's start may be refused, because the lock needs a moment to find the unit's cgroup.
func TestGuardLockAllow(t *testing.T) {
	const starts = 20
	const config = usual + "guard: {mode: lock, allow: [e2e-allowed.service, e2e-zone.slice]}\n"
	since := startWithGuard(t, config, status.GuardLocked, systemd.GuardStep)
	names := statusDocument(t).Guard.Names
	delayed := func(value string) []string {
		return []string{"sh", "-c", "sleep 0.5; exec " + strings.Join(onceCommand("max", value), " ")}
	}
	for i, c := range []struct {
		name    string
		options []string
		errno   syscall.Errno
	}{
		{"e2e-allowed", nil, 0},
		{"e2e-sliced", []string{"--slice=e2e-zone.slice"}, 0},
		{"e2e-other", nil, syscall.EPERM},
		{"e2e-other", []string{"--slice=e2e-zone2.slice"}, syscall.EPERM},
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
		if code := runAsUnit(t, "e2e-allowed", onceCommand(setting, value)...); code != 0 {
			tooEarly++
		}
		waitApplied(t, prompt, usualValues)
	}
	t.Logf("writes of an allowed unit right after its start: %d of %d refused", tooEarly, starts)
}

// TestGuardLockReload: a reload changes the mode and the wanted values, and the daemon's own writes are accepted each
// time.
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
			t.Errorf("300000 with want %s: %v", wanted, err)
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

// TestGuardLockEnds: the lock ends with the daemon, also when that is killed, and the next daemon locks again.
func TestGuardLockEnds(t *testing.T) {
	startWithGuard(t, locked, status.GuardLocked, systemd.GuardStep)
	checkRefused(t, sysctl("max"), "65536")
	run(t, "systemctl", "stop", unit)
	checkAccepted(t, sysctl("max"), "65536")
	// The unit's own RestartSec is too short for the checks.
	writeFile(t, filepath.Join("/etc/systemd/system", unit+".d", "restart.conf"), "[Service]\nRestartSec=3s\n")
	run(t, "systemctl", "daemon-reload")
	run(t, "systemctl", "start", unit)
	waitGuard(t, status.GuardLocked)
	waitApplied(t, prompt, usualValues)
	checkRefused(t, sysctl("max"), "65536")

	signal(t, syscall.SIGKILL)
	killed := time.Now()
	took := eventually(t, prompt, "a write is accepted after the kill", func() bool {
		return tryWrite(sysctl("max"), "65536") == nil
	})
	if again := property(t, "NRestarts"); again != "0" {
		t.Errorf("NRestarts=%s: the write was too late", again)
	}
	t.Logf("a foreign write was accepted %s after the kill", took)
	waitApplied(t, 10*time.Second, usualValues)
	t.Logf("repaired %s after the kill", time.Since(killed))
	waitGuard(t, status.GuardLocked)
	checkRefused(t, sysctl("max"), "65536")
}

// TestGuardLockObserve: in mode observe nothing is refused.
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

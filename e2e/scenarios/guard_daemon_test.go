//go:build guest

package scenarios

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/systemd"
)

// TestGuardUnavailable: without the capabilities for the guard the daemon runs as without it. It logs once what is
// missing and how to get it.
func TestGuardUnavailable(t *testing.T) {
	since := startDaemon(t, usual+"guard: watch\n")
	run(t, "modprobe", "nf_conntrack")
	waitApplied(t, prompt, usualValues)
	g := waitGuard(t, status.GuardUnavailable)
	t.Logf("status: %s; missing %+v", g.Error, g.Missing)
	if !strings.Contains(g.Error, "CAP_BPF") || len(g.Names) != 0 ||
		len(g.Missing) != 1 || g.Missing[0].Hint != systemd.GuardStep {
		t.Errorf("guard %+v", g)
	}
	if text, code := runStdout(t, "ctkeeper", "status"); code != 0 || !strings.Contains(text, systemd.GuardStep) {
		t.Errorf("status: %d\n%s", code, text)
	}
	run(t, "systemctl", "reload", unit)
	write(t, sysctl("max"), "70000")
	waitApplied(t, prompt, usualValues)
	if by := writerOf(since.waitDrift(t, "max", "70000")); len(by) != 0 {
		t.Errorf("writer %v without the guard", by)
	}
	var messages []string
	for _, e := range since.unitEntries(t) {
		if strings.Contains(e.get("MESSAGE"), "guard") {
			messages = append(messages, e.get("MESSAGE"))
			if e.get("CTKEEPER_HINT") != systemd.GuardStep {
				t.Errorf("hint %q", e.get("CTKEEPER_HINT"))
			}
		}
	}
	if len(messages) != 1 {
		t.Errorf("%d messages about the guard, want 1: %q", len(messages), messages)
	}
}

// countLinks returns how many BPF programs a process has attached.
func countLinks(t *testing.T, pid int) int {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, file := range files {
		if content, err := os.ReadFile(file); err == nil && strings.Contains(string(content), "link_type:") {
			count++
		}
	}
	return count
}

// TestGuardRights: the documented steps give the service their capabilities and no other, and take them away again.
func TestGuardRights(t *testing.T) {
	cleanHost(t)
	writeFile(t, mainFile, usual+"guard: watch\n")
	for _, c := range []struct {
		step, capabilities string
		state              status.GuardState
	}{
		{systemd.GuardStep, "0000008000001000", status.GuardWatching},
		{systemd.PerfmonStep, "000000c000001000", status.GuardWatching},
		{systemd.PerfmonBack, "0000008000001000", status.GuardWatching},
		{systemd.GuardBack, "0000000000001000", status.GuardOff},
	} {
		run(t, "sh", "-c", c.step)
		waitGuard(t, c.state)
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", mainPID(t)))
		if err != nil {
			t.Fatal(err)
		}
		for _, set := range []string{"CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb"} {
			if !strings.Contains(string(status), set+":\t"+c.capabilities+"\n") {
				t.Errorf("%s is not %s after %s", set, c.capabilities, c.step)
			}
		}
		t.Logf("%s: %d programs attached", c.capabilities, countLinks(t, mainPID(t)))
	}
}

// statusAt returns the status document of the daemon with another socket.
func statusAt(socket string) (status.Document, error) {
	var s status.Document
	response, err := unixClient(socket).Get("http://ctkeeper/v1/status")
	if err != nil {
		return s, err
	}
	defer response.Body.Close()
	return s, json.NewDecoder(response.Body).Decode(&s)
}

// startSecond starts another daemon by hand, with files of its own. The function waits until it is in a mode and its
// guard in a state.
func startSecond(t *testing.T) (*foreground, func(reconcile.Mode, status.GuardState)) {
	t.Helper()
	dir := t.TempDir()
	directory := filepath.Join(dir, "ctkeeper")
	socket := filepath.Join(directory, "ctkeeper.sock")
	if err := os.Mkdir(directory, 0o755); err != nil {
		t.Fatal(err)
	}
	f := startForeground(t, "env", "RUNTIME_DIRECTORY="+directory, "STATE_DIRECTORY="+directory, "ctkeeper", "run")
	return f, func(mode reconcile.Mode, state status.GuardState) {
		t.Helper()
		eventually(t, bootTime, fmt.Sprintf("the second daemon is in mode %s, its guard %s", mode, state), func() bool {
			s, err := statusAt(socket)
			return err == nil && s.Daemon.Mode == mode && s.Guard.State == state &&
				s.Daemon.KeptElsewhere == (mode == reconcile.Observe)
		})
	}
}

// TestGuardTwice: two daemons of one network namespace. The second one observes, and its guard only watches, until the
// first one ends. Then it locks. After both no lock is left.
func TestGuardTwice(t *testing.T) {
	startWithGuard(t, strings.Replace(locked, "resync: 60s", "resync: 2s", 1), status.GuardLocked, systemd.GuardStep)
	proc := startContainer(t)
	timeout := filepath.Join(proc, strings.TrimPrefix(sysctl("tcp_timeout_established"), "/proc"))
	// The service does not know the network namespace of a write and lets those to timeouts through.
	check := func(who string) {
		t.Helper()
		checkRefused(t, sysctl("max"), "65536")
		write(t, timeout, "999")
		t.Logf("%s: a container's write was repaired after %s", who, waitApplied(t, prompt, usualValues))
	}
	f, waitSecond := startSecond(t)
	waitSecond(reconcile.Observe, status.GuardWatching)
	ours := countRefused(t, "max")
	check("both")
	eventually(t, prompt, "the service has counted the write", func() bool { return countRefused(t, "max") > ours })
	if code := f.stop(t); code != 0 {
		t.Errorf("exit status %d after SIGTERM", code)
	}
	check("the service alone")
	f, waitSecond = startSecond(t)
	waitSecond(reconcile.Observe, status.GuardWatching)
	run(t, "systemctl", "stop", unit)
	waitSecond(reconcile.Enforce, status.GuardLocked)
	// It is root's, and refuses writes to timeouts too.
	checkRefused(t, sysctl("max"), "65536")
	checkRefused(t, timeout, "999")
	_ = syscall.Kill(-f.cmd.Process.Pid, syscall.SIGKILL)
	eventually(t, prompt, "a write is accepted after both have ended", func() bool {
		return tryWrite(sysctl("max"), "65536") == nil
	})
}

// readEffort returns what a process has used: voluntary context switches of all its threads, and ticks of the
// processor.
func readEffort(t *testing.T, pid int) (switches, ticks int) {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(files) == 0 {
		t.Fatalf("cannot find the daemon's threads: %v", err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(content)) {
			if count, found := strings.CutPrefix(line, "voluntary_ctxt_switches:"); found {
				switches += number(t, count)
			}
		}
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest) // from the third on; utime and stime are fields 14 and 15 (proc_pid_stat(5))
	return switches, number(t, fields[11]) + number(t, fields[12])
}

// TestGuardIdle: while nobody writes, the guard does not wake the daemon. Starts and ends of units wake it, because
// of their cgroups; how often is logged.
func TestGuardIdle(t *testing.T) {
	measure := func(what string, turns int, while func(turn int)) (median int) {
		pid := mainPID(t)
		begin, ticks := readEffort(t, pid)
		var each []int
		for turn := range turns {
			before, _ := readEffort(t, pid)
			while(turn)
			after, _ := readEffort(t, pid)
			each = append(each, after-before)
		}
		end, later := readEffort(t, pid)
		t.Logf("%s: %d voluntary context switches, %d ticks; one by one %v", what, end-begin, later-ticks, each)
		// The median leaves out what follows a start and what happens every few seconds, but not polling.
		slices.Sort(each)
		return each[len(each)/2]
	}
	idle := func(int) { time.Sleep(time.Second) }
	startWithGuard(t, usual, status.GuardOff, "systemctl start "+unit)
	off := measure("guard off, idle", 12, idle)
	resetHost(t)
	writeFile(t, mainFile, usual+"guard: watch\n")
	for _, step := range guardSteps[len(guardSteps)-1].steps {
		run(t, "sh", "-c", step)
	}
	waitGuard(t, status.GuardWatching)
	run(t, "modprobe", "nf_conntrack")
	waitApplied(t, prompt, usualValues)
	if on := measure("guard on, idle", 12, idle); on > off+1 {
		t.Errorf("%d voluntary context switches in the median second with the guard, %d without", on, off)
	}
	measure("guard on, a unit a turn", 50, func(turn int) {
		run(t, "systemd-run", "-q", "--collect", fmt.Sprintf("--unit=e2e-idle-%d", turn), "true")
	})
}

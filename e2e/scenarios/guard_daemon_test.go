//go:build guest

package scenarios

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/systemd"
)

// TestGuardUnavailable: asked for without its rights the daemon works as ever, says once what
// is missing, and how to have it.
func TestGuardUnavailable(t *testing.T) {
	since := startDaemon(t, usual+"guard: watch\n")
	run(t, "modprobe", "nf_conntrack")
	waitApplied(t, prompt, usualValues)
	g := waitGuard(t, status.GuardUnavailable)
	t.Logf("status: %s; missing %+v", g.Error, g.Missing)
	if !strings.Contains(g.Error, "CAP_BPF") || len(g.Missing) != 1 || g.Missing[0].Hint != systemd.GuardStep || len(g.Names) != 0 {
		t.Errorf("guard %+v", g)
	}
	if text, code := runStdout(t, "ctkeeper", "status"); code != 0 || !strings.Contains(text, systemd.GuardStep) {
		t.Errorf("status: %d\n%s", code, text)
	}
	run(t, "systemctl", "reload", unit)
	write(t, sysctl("max"), "70000")
	waitApplied(t, prompt, usualValues)
	if by := writerOf(since.waitDrift(t, "max", "70000")); len(by) != 0 {
		t.Errorf("by %v", by)
	}
	var said []string
	for _, e := range since.unitEntries(t) {
		if strings.Contains(e.get("MESSAGE"), "guard") {
			said = append(said, e.get("MESSAGE"))
			if e.get("CTKEEPER_HINT") != systemd.GuardStep {
				t.Errorf("hint %q", e.get("CTKEEPER_HINT"))
			}
		}
	}
	if len(said) != 1 {
		t.Errorf("said %d times: %q", len(said), said)
	}
}

// links counts the BPF programs that a process has attached.
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

// TestGuardRights: the documented steps give their rights and no other, and take them back.
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
		{systemd.GuardBack, "0000000000001000", status.GuardUnavailable},
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

// at is the answer of a daemon that has its socket elsewhere.
func statusAt(socket string) (status.Document, error) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}, Timeout: 10 * time.Second}
	var s status.Document
	response, err := client.Get("http://ctkeeper/v1/status")
	if err != nil {
		return s, err
	}
	defer response.Body.Close()
	return s, json.NewDecoder(response.Body).Decode(&s)
}

// second starts another daemon by hand, and gives how many writes to max it refused.
func startSecond(t *testing.T) (*foreground, func() int) {
	t.Helper()
	dir := t.TempDir()
	socket := filepath.Join(dir, "ctkeeper", "ctkeeper.sock")
	if err := os.Mkdir(filepath.Dir(socket), 0o755); err != nil {
		t.Fatal(err)
	}
	f := startForeground(t, "env", "RUNTIME_DIRECTORY="+filepath.Dir(socket), "STATE_DIRECTORY="+filepath.Dir(socket), "ctkeeper", "run")
	eventually(t, prompt, "the second daemon's guard is locked", func() bool {
		s, err := statusAt(socket)
		return err == nil && s.Guard.State == status.GuardLocked
	})
	return f, func() int {
		s, err := statusAt(socket)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range s.Guard.Refused {
			if r.Setting == "max" {
				return r.Count
			}
		}
		return 0
	}
}

// TestGuardTwice: two daemons on one host. Both see, either one's end leaves the other at work,
// and after both nothing is left.
func TestGuardTwice(t *testing.T) {
	startWithGuard(t, locked, status.GuardLocked, systemd.GuardStep)
	proc := startContainer(t)
	works := func(who string) {
		t.Helper()
		checkRefused(t, sysctl("max"), "65536")
		write(t, filepath.Join(proc, strings.TrimPrefix(sysctl("tcp_timeout_established"), "/proc")), "999")
		t.Logf("%s: a container's write was repaired after %s", who, waitApplied(t, prompt, usualValues))
	}
	f, others := startSecond(t)
	ours := countRefused(t, "max")
	works("both")
	eventually(t, prompt, "both have seen it", func() bool { return countRefused(t, "max") > ours && others() > 0 })
	if code := f.stop(t); code != 0 {
		t.Errorf("exit status %d on request", code)
	}
	works("the service alone")
	f, others = startSecond(t)
	run(t, "systemctl", "stop", unit)
	works("the one by hand alone")
	if others() == 0 {
		t.Error("it has not seen the write")
	}
	_ = syscall.Kill(-f.cmd.Process.Pid, syscall.SIGKILL)
	eventually(t, prompt, "a write goes through after both have ended", func() bool { return tryWrite(sysctl("max"), "65536") == nil })
}

// effort is what a process has cost: voluntary context switches of all its threads, and
// ticks of the processor.
func readEffort(t *testing.T, pid int) (switches, ticks int) {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(files) == 0 {
		t.Fatalf("the daemon's threads: %v", err)
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
	fields := strings.Fields(rest) // from the third on: utime and stime are 14 and 15 (proc_pid_stat(5))
	return switches, number(t, fields[11]) + number(t, fields[12])
}

// TestGuardIdle: while nobody writes the guard costs nothing. Units that come and go wake it
// (their cgroups), which is printed.
func TestGuardIdle(t *testing.T) {
	over := func(what string, turns int, while func(turn int)) (median int) {
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
		// What a start leaves to do, and what happens every few seconds, is not in the median;
		// who polls is.
		slices.Sort(each)
		return each[len(each)/2]
	}
	quiet := func(int) { time.Sleep(time.Second) }
	startWithGuard(t, usual, status.GuardOff, "systemctl start "+unit)
	off := over("guard off, quiet", 12, quiet)
	resetHost(t)
	writeFile(t, mainFile, usual+"guard: watch\n")
	for _, step := range guardRights[len(guardRights)-1].steps {
		run(t, "sh", "-c", step)
	}
	waitGuard(t, status.GuardWatching)
	run(t, "modprobe", "nf_conntrack")
	waitApplied(t, prompt, usualValues)
	if on := over("guard on, quiet", 12, quiet); on > off+1 {
		t.Errorf("in the median second %d voluntary context switches with the guard, %d without", on, off)
	}
	over("guard on, a unit a turn", 50, func(turn int) {
		run(t, "systemd-run", "-q", "--collect", fmt.Sprintf("--unit=e2e-idle-%d", turn), "true")
	})
}

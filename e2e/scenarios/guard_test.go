//go:build guest

package scenarios

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/sysfs"
	"github.com/ctkeeper/ctkeeper/systemd"
)

const (
	containerID = "4f0c8a21bd03e6d5c7b8a9f0e1d2c3b4a5968778695a4b3c2d1e0f1a2b3c4d5e"
	podUID      = "1f2e3d4c-5b6a-4798-8a9b-acbdcedfe0f1"
	podCgroup   = "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1f2e3d4c_5b6a_4798_8a9b_acbdcedfe0f1.slice/cri-containerd-" + containerID + ".scope"
)

// guardWriters each give a setting a value in a way of their own, and tell who it was.
var guardWriters = []struct {
	name  string
	write func(t *testing.T, setting, value string) sysfs.Writer
}{
	{"sysctl", func(t *testing.T, setting, value string) sysfs.Writer {
		pid := pidOf(t, "sysctl", "-q", "-w", "net.netfilter.nf_conntrack_"+setting+"="+value)
		return sysfs.Writer{PID: pid, Comm: "sysctl", Unit: scenarioUnit}
	}},
	{"shell", func(t *testing.T, setting, value string) sysfs.Writer {
		pid := pidOf(t, "sh", "-c", "echo "+value+" > "+sysctl(setting))
		return sysfs.Writer{PID: pid, Comm: "sh", Unit: scenarioUnit}
	}},
	{"gone at once", func(t *testing.T, setting, value string) sysfs.Writer {
		return sysfs.Writer{PID: pidOf(t, onceCommand(setting, value)...), Comm: "once", Unit: scenarioUnit}
	}},
	{"own proc", func(t *testing.T, setting, value string) sysfs.Writer {
		pid := pidOfCommand(t, containerCommand("echo "+value+" > "+sysctl(setting)))
		return sysfs.Writer{PID: pid, Comm: "sh", Unit: scenarioUnit}
	}},
	{"unit", func(t *testing.T, setting, value string) sysfs.Writer {
		return sysfs.Writer{PID: pidInUnit(t, "e2e-writer", nil, setting, value), Comm: "once", Unit: "e2e-writer.service"}
	}},
	{"unit in a slice", func(t *testing.T, setting, value string) sysfs.Writer {
		pid := pidInUnit(t, "e2e-sliced", []string{"--slice=e2e-fire.slice"}, setting, value)
		return sysfs.Writer{PID: pid, Comm: "once", Unit: "e2e-sliced.service"}
	}},
	{"scope", func(t *testing.T, setting, value string) sysfs.Writer {
		pid := pidOf(t, append([]string{"systemd-run", "-q", "--scope", "--unit=e2e-session"}, onceCommand(setting, value)...)...)
		return sysfs.Writer{PID: pid, Comm: "once", Unit: "e2e-session.scope"}
	}},
	{"container", func(t *testing.T, setting, value string) sysfs.Writer {
		procs := filepath.Join(makeCgroup(t, podCgroup), "cgroup.procs")
		pid := pidOf(t, "sh", "-c", "echo $$ > "+procs+" && echo "+value+" > "+sysctl(setting))
		return sysfs.Writer{PID: pid, Comm: "sh", Unit: "cri-containerd-" + containerID + ".scope", Container: containerID, Pod: podUID}
	}},
}

// pidInUnit has a transient unit write, and gives the process id of the writer.
func pidInUnit(t *testing.T, name string, options []string, setting, value string) int {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pid")
	line := "echo $$$$ > " + file + "; exec " + strings.Join(onceCommand(setting, value), " ")
	if code := runAsUnitWith(t, name, options, "sh", "-c", line); code != 0 {
		t.Fatalf("%s: exit status %d", name, code)
	}
	pid, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return number(t, string(pid))
}

// TestGuardNames: every foreign write is seen at once, through whatever procfs it came, and
// the writer stands in the journal, in events, in status and in the metrics.
func TestGuardNames(t *testing.T) {
	for _, rights := range guardRights {
		t.Run(rights.name, func(t *testing.T) {
			startWithGuard(t, wide+"guard: watch\n", status.GuardWatching, rights.steps...)
			waitApplied(t, prompt, wideValues)
			g := statusDocument(t).Guard
			t.Logf("told here: %v; not: %v", g.Names, g.Missing)
			for i, writer := range guardWriters {
				t.Run(writer.name, func(t *testing.T) {
					since := journalEnd(t)
					setting, value := nthWrite(i)
					by := visiblePart(g.Names, writer.write(t, setting, value))
					waitApplied(t, prompt, wideValues)
					since.checkDrift(t, setting, value, by)
				})
			}
		})
	}
}

// TestGuardShortLived: two dozen processes and sixteen units in a row, each gone at once. Each has
// its name.
func TestGuardShortLived(t *testing.T) {
	const processes, units = 24, 16
	startWithGuard(t, wide+"guard: watch\n", status.GuardWatching, systemd.GuardStep)
	waitApplied(t, prompt, wideValues)
	names := statusDocument(t).Guard.Names
	since := journalEnd(t)
	want := map[string]map[string]string{}
	for i := range processes + units {
		setting, value := nthWrite(i)
		by := sysfs.Writer{Comm: "once", Unit: scenarioUnit}
		if i < processes {
			by.PID = pidOf(t, onceCommand(setting, value)...)
		} else {
			by.Unit = fmt.Sprintf("e2e-short-%d.service", i)
			run(t, "systemd-run", append([]string{"-q", "--collect", "--unit=" + by.Unit}, onceCommand(setting, value)...)...)
			eventually(t, prompt, "the unit has written", func() bool { return len(since.events(t, "drift", setting)) > i/6 })
		}
		waitApplied(t, prompt, wideValues)
		want[value] = writerFields(visiblePart(names, by))
	}
	var got map[string]map[string]string
	eventually(t, prompt, "all writes in the journal", func() bool {
		got = map[string]map[string]string{}
		for _, e := range since.events(t, "drift") {
			fields := writerOf(e)
			if strings.HasPrefix(fields["CTKEEPER_BY_UNIT"], "e2e-short-") {
				delete(fields, "CTKEEPER_BY_PID") // systemd's child, which nobody waited for
			}
			got[e.get("CTKEEPER_FOUND")] = fields
		}
		return len(got) == len(want)
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("writers (-want +got):\n%s", diff)
	}
}

// TestGuardOtherNamespace: a timeout of another network namespace is none of ours. The guard
// cannot tell the namespace, and is woken; nothing is reported, nothing is touched.
func TestGuardOtherNamespace(t *testing.T) {
	startWithGuard(t, usual+"guard: watch\n", status.GuardWatching, systemd.GuardStep)
	const source = `ctkeeper_events_total{source="guard"}`
	since, woken := journalEnd(t), metric(t, source)
	inside := run(t, "unshare", "--net", "sh", "-c", "echo 999 > "+sysctl("tcp_timeout_established")+" && cat "+sysctl("tcp_timeout_established"))
	eventually(t, prompt, "the guard saw it", func() bool { return metric(t, source) > woken })
	time.Sleep(2 * time.Second)
	if got := strings.TrimSpace(inside); got != "999" {
		t.Errorf("the namespace has %s", got)
	}
	if !isApplied(usualValues) {
		t.Error("the host's values changed")
	}
	for _, e := range since.unitEntries(t) {
		t.Errorf("the journal has: %s", e.get("MESSAGE"))
	}
	// The host's own write of the same value, later, is its writer's.
	pid := pidOf(t, onceCommand("tcp_timeout_established", "999")...)
	by := visiblePart(statusDocument(t).Guard.Names, sysfs.Writer{PID: pid, Comm: "once", Unit: scenarioUnit})
	waitApplied(t, prompt, usualValues)
	since.checkDrift(t, "tcp_timeout_established", "999", by)
}

// containedProc is a container's own /proc, seen from outside: a write through it reaches
// no inotify watch of the host's.
func startContainer(t *testing.T) string {
	t.Helper()
	cmd := containerCommand("exec sleep 600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	proc := fmt.Sprintf("/proc/%d/root/proc", cmd.Process.Pid)
	eventually(t, prompt, "the container is up", func() bool {
		comm, err := os.ReadFile(proc + "/1/comm")
		return err == nil && strings.TrimSpace(string(comm)) == "sleep"
	})
	return proc
}

// TestGuardRepairTime: how long a container's write stands, with the guard and by the resync.
// The resync with the guard is a minute: it was not that.
func TestGuardRepairTime(t *testing.T) {
	for _, c := range []struct {
		name, config string
		state        status.GuardState
		steps        []string
		writes       int
		bound        time.Duration
	}{
		{"guard: watch, resync 60s", usual + "guard: watch\n", status.GuardWatching, []string{systemd.GuardStep}, 9, prompt},
		{"guard: off, resync 5s", strings.Replace(usual, "60s", "5s", 1), status.GuardOff, nil, 3, 8 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			since := startWithGuard(t, c.config, c.state, append(c.steps, "systemctl start "+unit)...)
			file := filepath.Join(startContainer(t), strings.TrimPrefix(sysctl("max"), "/proc"))
			var took []time.Duration
			for i := range c.writes {
				start := time.Now()
				write(t, file, fmt.Sprint(70000+i))
				for read("max") != usualValues["max"] {
					if time.Since(start) > c.bound {
						t.Fatalf("not repaired within %s", c.bound)
					}
				}
				took = append(took, time.Since(start))
				since.waitDrift(t, "max", fmt.Sprint(70000+i))
			}
			slices.Sort(took)
			var said []string
			for _, e := range since.events(t, "drift", "max") {
				if strings.HasPrefix(e.get("CTKEEPER_FOUND"), "7000") {
					said = append(said, e.get("CTKEEPER_DURATION_USEC")+"µs "+e.get("CTKEEPER_CAUSE"))
				}
			}
			t.Logf("from the write to the value back: median %s, worst %s; the daemon says: %v", took[len(took)/2], took[len(took)-1], said)
		})
	}
}

// TestGuardContest: who keeps writing is named as the opponent.
func TestGuardContest(t *testing.T) {
	since := startWithGuard(t, usual+"guard: watch\n", status.GuardWatching, systemd.GuardStep)
	names := statusDocument(t).Guard.Names
	loop := "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do echo 65536 > " + sysctl("max") + "; sleep 0.1; done"
	if code := runAsUnit(t, "e2e-rival", "sh", "-c", loop); code != 0 {
		t.Fatalf("exit status %d", code)
	}
	e := since.wait(t, "contested", "max")
	t.Log(e.get("MESSAGE"))
	if got := e.get("CTKEEPER_BY_UNIT"); got != "e2e-rival.service" {
		t.Errorf("opponent %q", got)
	}
	if got := e.get("CTKEEPER_BY_COMM"); slices.Contains(names, "comm") && got != "sh" {
		t.Errorf("opponent's command %q", got)
	}
	if !strings.Contains(e.get("MESSAGE"), "e2e-rival.service") {
		t.Error("the message does not name it")
	}
	if by := eventWriter(t, "contested", "max", "65536"); by.Unit != "e2e-rival.service" {
		t.Errorf("events: %+v", by)
	}
	if text, _ := runStdout(t, "ctkeeper", "status"); !strings.Contains(text, "e2e-rival.service") {
		t.Errorf("status does not name the opponent:\n%s", text)
	}
}

// TestGuardOverrun: 20000 writes while the daemon cannot read. That some were lost is counted,
// and it looks at everything.
func TestGuardOverrun(t *testing.T) {
	const lost = `ctkeeper_event_overflows_total{source="guard"}`
	since := startWithGuard(t, usual+"guard: watch\n", status.GuardWatching, systemd.GuardStep)
	before, pid := metric(t, lost), mainPID(t)
	freeze(t)
	pidOf(t, onceCommand("max", "65536", "20000")...)
	start := time.Now()
	signal(t, syscall.SIGCONT)
	waitApplied(t, prompt, usualValues)
	t.Logf("right again %s after the daemon went on", time.Since(start))
	eventually(t, prompt, "the loss is counted", func() bool { return metric(t, lost) > before })
	since.waitDrift(t, "max", "65536")
	if mainPID(t) != pid {
		t.Error("the daemon was restarted")
	}
	if n := len(since.events(t, "contested")); n != 0 {
		t.Errorf("%d contested", n)
	}
}

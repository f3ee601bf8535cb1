//go:build guest

package scenarios

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/sysfs"
	"github.com/ctkeeper/ctkeeper/systemd"
)

// scenarioUnit is the unit of the scenarios themselves.
const scenarioUnit = "e2e-scenarios.service"

// guardSteps are the documented steps that give the service the capabilities for the guard.
var guardSteps = []struct {
	name  string
	steps []string
}{
	{"bpf", []string{systemd.GuardStep}},
	{"bpf+perfmon", []string{systemd.GuardStep, systemd.PerfmonStep}},
}

// wide has more settings than usual. A setting with ten drifts within ten seconds is contested, so many writes in a
// row go to different settings.
const wide = `settings:
  max: 300000
  hashsize: 100000
  expect_max: 4096
  tcp_timeout_established: 2h
  udp_timeout: 40s
  icmp_timeout: 41s
  generic_timeout: 601s
enforcement:
  resync: 60s
`

var wideValues = map[string]string{
	"max": "300000", "buckets": "100352", "expect_max": "4096", "tcp_timeout_established": "7200",
	"udp_timeout": "40", "icmp_timeout": "41", "generic_timeout": "601",
}

// nthWrite returns the setting for the n-th writer, and a value that no other one writes.
func nthWrite(n int) (setting, value string) {
	all := []string{"max", "expect_max", "tcp_timeout_established", "udp_timeout", "icmp_timeout", "generic_timeout"}
	return all[n%len(all)], strconv.Itoa(70000 + n)
}

// startWithGuard starts the guard by the documented steps on a clean host, loads the module, and waits for the state
// of the guard and for usualValues.
func startWithGuard(t *testing.T, config string, state status.GuardState, steps ...string) cursor {
	t.Helper()
	since := startGuard(t, config, state, steps...)
	waitApplied(t, prompt, usualValues)
	return since
}

// startGuard is startWithGuard for other values.
func startGuard(t *testing.T, config string, state status.GuardState, steps ...string) cursor {
	t.Helper()
	since := cleanHost(t)
	writeFile(t, mainFile, config)
	for _, step := range steps {
		run(t, "sh", "-c", step)
	}
	waitGuard(t, state)
	run(t, "modprobe", "nf_conntrack")
	since.wait(t, "module-load")
	return since
}

// statusDocument returns the document of `ctkeeper status -o json`.
func statusDocument(t *testing.T) status.Document {
	t.Helper()
	d, _ := document(t, "status")
	return d
}

// waitGuard waits until the guard is in a state and returns its status.
func waitGuard(t *testing.T, state status.GuardState) status.Guard {
	t.Helper()
	var g status.Guard
	eventually(t, prompt, "the guard is "+string(state), func() bool {
		g = statusDocument(t).Guard
		return g.State == state
	})
	return g
}

// missingReason returns the reason why something is missing, or "".
func missingReason(g status.Guard, what string) string {
	for _, m := range g.Missing {
		if strings.Contains(m.What, what) {
			return m.Why
		}
	}
	return ""
}

// onceCommand returns the command that writes a setting and exits.
func onceCommand(setting, value string, more ...string) []string {
	return append([]string{filepath.Join(os.Getenv("CTKEEPER_E2E_DIR"), "once"), sysctl(setting), value}, more...)
}

// pidOf runs a command that must succeed and returns its process id.
func pidOf(t *testing.T, argv ...string) int {
	t.Helper()
	return pidOfCommand(t, exec.Command(argv[0], argv[1:]...))
}

func pidOfCommand(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return cmd.Process.Pid
}

// runAsUnit runs a command as a transient unit, waits for its end, and returns its exit status.
func runAsUnit(t *testing.T, name string, argv ...string) int {
	t.Helper()
	return runAsUnitWith(t, name, nil, argv...)
}

// runAsUnitWith is runAsUnit with options of systemd-run.
func runAsUnitWith(t *testing.T, name string, options []string, argv ...string) int {
	t.Helper()
	args := append([]string{"-q", "--wait", "--collect", "--unit=" + name}, options...)
	_, code := try(t, "systemd-run", append(args, argv...)...)
	return code
}

// containerCommand returns the command that runs a shell line as in a container: with a pid namespace and a /proc of
// its own, as process 1.
func containerCommand(line string) *exec.Cmd {
	cmd := exec.Command("sh", "-c", "mount -t proc proc /proc && test $$ = 1 && "+line)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Unshareflags: syscall.CLONE_NEWNS}
	return cmd
}

// makeCgroup makes a cgroup, as a container engine does, and returns its directory. The new directories of its path
// are removed when the scenario ends.
func makeCgroup(t *testing.T, path string) string {
	t.Helper()
	dir := "/sys/fs/cgroup"
	for component := range strings.SplitSeq(path, "/") {
		dir = filepath.Join(dir, component)
		err := os.Mkdir(dir, 0o755)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		made := dir
		t.Cleanup(func() {
			eventually(t, prompt, made+" is removed", func() bool {
				err := os.Remove(made)
				return err == nil || errors.Is(err, os.ErrNotExist)
			})
		})
	}
	return dir
}

// visiblePart returns the fields of a writer that the guard reports on this kernel (names).
func visiblePart(names []string, by sysfs.Writer) sysfs.Writer {
	var visible sysfs.Writer
	if slices.Contains(names, "pid") {
		visible.PID = by.PID
	}
	if slices.Contains(names, "comm") {
		visible.Comm = by.Comm
	}
	if slices.Contains(names, "unit") {
		visible.Unit, visible.Container, visible.Pod = by.Unit, by.Container, by.Pod
	}
	return visible
}

// writerOf returns the journal fields of an entry's writer.
func writerOf(e entry) map[string]string {
	fields := map[string]string{}
	for _, name := range []string{"CTKEEPER_BY_PID", "CTKEEPER_BY_COMM", "CTKEEPER_BY_UNIT"} {
		if value := e.get(name); value != "" {
			fields[name] = value
		}
	}
	return fields
}

// writerFields returns the journal fields that a writer should have.
func writerFields(by sysfs.Writer) map[string]string {
	fields := map[string]string{}
	if by.PID != 0 {
		fields["CTKEEPER_BY_PID"] = strconv.Itoa(by.PID)
	}
	if by.Comm != "" {
		fields["CTKEEPER_BY_COMM"] = by.Comm
	}
	if by.Cgroup() != "" {
		fields["CTKEEPER_BY_UNIT"] = by.Cgroup()
	}
	return fields
}

// writerLabel returns the label of a writer in the metrics.
func writerLabel(by sysfs.Writer) string {
	switch {
	case by.Container != "" && by.Comm != "":
		return "container/" + by.Comm
	case by.Container != "":
		return "container"
	default:
		return by.Unit
	}
}

// waitDrift waits for the journal entry of a value that was found and returns it.
func (c cursor) waitDrift(t *testing.T, setting, found string) entry {
	t.Helper()
	var e entry
	eventually(t, prompt, setting+" found at "+found+", in the journal", func() bool {
		for _, e = range c.events(t, "drift", setting) {
			if e.get("CTKEEPER_FOUND") == found {
				return true
			}
		}
		return false
	})
	return e
}

// checkDrift checks that a drift has this writer in journal, events, status and metrics.
func (c cursor) checkDrift(t *testing.T, setting, found string, want sysfs.Writer) {
	t.Helper()
	e := c.waitDrift(t, setting, found)
	t.Log(e.get("MESSAGE"))
	if diff := cmp.Diff(writerFields(want), writerOf(e)); diff != "" {
		t.Errorf("journal (-want +got):\n%s", diff)
	}
	if cause := e.get("CTKEEPER_CAUSE"); cause != "write" {
		t.Errorf("cause %s, want write", cause)
	}
	got := *eventWriter(t, "drift", setting, found)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ctkeeper events (-want +got):\n%s", diff)
	}
	for _, s := range statusDocument(t).Settings {
		if s.Name != setting {
			continue
		}
		if s.LastDrift == nil || s.LastDrift.By == nil || s.LastDrift.Found.String() != found {
			t.Errorf("status: last drift %+v", s.LastDrift)
		} else if diff := cmp.Diff(want, *s.LastDrift.By); diff != "" {
			t.Errorf("status (-want +got):\n%s", diff)
		}
	}
	series := fmt.Sprintf("ctkeeper_drift_total{by=%q,cause=\"write\",setting=%q}", writerLabel(want), setting)
	if n := metric(t, series); n < 1 {
		t.Errorf("metrics: %g drifts", n)
	}
}

// eventWriter returns the writer of the newest event of a kind, setting and value in `ctkeeper events`. It fails if
// that has none.
func eventWriter(t *testing.T, kind, setting, found string) *sysfs.Writer {
	t.Helper()
	var by *sysfs.Writer
	for _, e := range history(t) {
		if e.Event == kind && e.Setting == setting && e.Found.String() == found {
			by = e.By
		}
	}
	if by == nil {
		t.Errorf("ctkeeper events: no writer of %s %s %s", kind, setting, found)
		by = &sysfs.Writer{}
	}
	return by
}

type pastEvent struct {
	Event, Setting, Value string
	Found                 json.Number
	By                    *sysfs.Writer
}

// history returns the events of `ctkeeper events -o json`.
func history(t *testing.T) []pastEvent {
	t.Helper()
	out, _ := runStdout(t, "ctkeeper", "events", "-o", "json")
	var all []pastEvent
	in := json.NewDecoder(strings.NewReader(out))
	for {
		var e pastEvent
		err := in.Decode(&e)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("events -o json: %v\n%s", err, out)
		}
		all = append(all, e)
	}
}

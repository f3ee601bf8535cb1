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

// scenarioUnit is the unit that the scenarios themselves run in.
const scenarioUnit = "e2e-scenarios.service"

// guardRights are what the documented steps give the service.
var guardRights = []struct {
	name  string
	steps []string
}{
	{"bpf", []string{systemd.GuardStep}},
	{"bpf+perfmon", []string{systemd.GuardStep, systemd.PerfmonStep}},
}

// wide has more settings than usual: ten drifts of one within ten seconds would be
// a contest, so that many writers take turns.
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

// turn is the setting of the n-th writer, and a value that no other one writes.
func nthWrite(n int) (setting, value string) {
	all := []string{"max", "expect_max", "tcp_timeout_established", "udp_timeout", "icmp_timeout", "generic_timeout"}
	return all[n%len(all)], strconv.Itoa(70000 + n)
}

// keepGuarded turns the guard on by the documented steps, on a clean host with a
// configuration, loads the module, and waits until guard and values are as they should be.
func startWithGuard(t *testing.T, config string, state status.GuardState, steps ...string) cursor {
	t.Helper()
	since := startGuard(t, config, state, steps...)
	waitApplied(t, prompt, usualValues)
	return since
}

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

// answer is `ctkeeper status -o json`, all of it.
func statusDocument(t *testing.T) status.Document {
	t.Helper()
	out, _ := runStdout(t, "ctkeeper", "status", "-o", "json")
	var s status.Document
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return s
}

// guardIs waits until the guard is in a state, and gives what the status says of it.
func waitGuard(t *testing.T, state status.GuardState) status.Guard {
	t.Helper()
	var g status.Guard
	eventually(t, prompt, "the guard is "+string(state), func() bool {
		g = statusDocument(t).Guard
		return g.State == state
	})
	return g
}

// once is the command that writes a setting and is gone.
func onceCommand(setting, value string, more ...string) []string {
	return append([]string{filepath.Join(os.Getenv("CTKEEPER_E2E_DIR"), "once"), sysctl(setting), value}, more...)
}

// pidOf runs a command that must succeed and gives the process id that it had.
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

// asUnit runs a command as a transient unit, waits for its end, and gives its exit
// status.
func runAsUnit(t *testing.T, name string, argv ...string) int {
	t.Helper()
	return runAsUnitWith(t, name, nil, argv...)
}

func runAsUnitWith(t *testing.T, name string, options []string, argv ...string) int {
	t.Helper()
	args := append([]string{"-q", "--wait", "--collect", "--unit=" + name}, options...)
	_, code := try(t, "systemd-run", append(args, argv...)...)
	return code
}

// contained is a shell line run as a container has it: a pid namespace and a /proc of its
// own, where this process is the first.
func containerCommand(line string) *exec.Cmd {
	cmd := exec.Command("sh", "-c", "mount -t proc proc /proc && test $$ = 1 && "+line)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Unshareflags: syscall.CLONE_NEWNS}
	return cmd
}

// cgroup makes a cgroup by hand, as a container engine does, and gives its directory. What
// of its path was not there before goes when the scenario ends.
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
			eventually(t, prompt, made+" is gone", func() bool {
				err := os.Remove(made)
				return err == nil || errors.Is(err, os.ErrNotExist)
			})
		})
	}
	return dir
}

// known is what of a writer can be told here, by the daemon's own word.
func visiblePart(names []string, by sysfs.Writer) sysfs.Writer {
	var told sysfs.Writer
	if slices.Contains(names, "pid") {
		told.PID = by.PID
	}
	if slices.Contains(names, "comm") {
		told.Comm = by.Comm
	}
	if slices.Contains(names, "unit") {
		told.Unit, told.Container, told.Pod = by.Unit, by.Container, by.Pod
	}
	return told
}

// byFields are the journal fields of a writer, those that it has.
func writerOf(e entry) map[string]string {
	fields := map[string]string{}
	for _, name := range []string{"CTKEEPER_BY_PID", "CTKEEPER_BY_COMM", "CTKEEPER_BY_UNIT"} {
		if value := e.get(name); value != "" {
			fields[name] = value
		}
	}
	return fields
}

// asFields are the journal fields that a writer should have.
func writerFields(by sysfs.Writer) map[string]string {
	fields := map[string]string{}
	if by.PID != 0 {
		fields["CTKEEPER_BY_PID"] = strconv.Itoa(by.PID)
	}
	if by.Comm != "" {
		fields["CTKEEPER_BY_COMM"] = by.Comm
	}
	if by.Place() != "" {
		fields["CTKEEPER_BY_UNIT"] = by.Place()
	}
	return fields
}

// byLabel is the label of a writer in the metrics.
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

// drift waits for the journal's word of a value that was found.
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

// blames checks that a drift has this writer, wherever one can read it.
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
		if s.LastDrift == nil || s.LastDrift.By == nil || s.LastDrift.Found != found {
			t.Errorf("status: last drift %+v", s.LastDrift)
		} else if diff := cmp.Diff(want, *s.LastDrift.By); diff != "" {
			t.Errorf("status (-want +got):\n%s", diff)
		}
	}
	if n := metric(t, fmt.Sprintf("ctkeeper_drift_total{by=%q,cause=\"write\",setting=%q}", writerLabel(want), setting)); n < 1 {
		t.Errorf("metrics: %g drifts", n)
	}
}

// told is who `ctkeeper events` says brought about the newest event of a kind, of a setting
// and a value where these are given. It fails where nobody is named.
func eventWriter(t *testing.T, kind, setting, found string) *sysfs.Writer {
	t.Helper()
	var by *sysfs.Writer
	for _, e := range history(t) {
		if e.Event == kind && e.Setting == setting && e.Found == found {
			by = e.By
		}
	}
	if by == nil {
		t.Errorf("ctkeeper events names nobody for %s %s %s", kind, setting, found)
		by = &sysfs.Writer{}
	}
	return by
}

type pastEvent struct {
	Event, Setting, Found, Value string
	By                           *sysfs.Writer
}

// history is `ctkeeper events -o json`.
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

//go:build guest

package scenarios

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/systemd"
)

// held is usual with the guard's hold.
const held = usual + "guard: hold\n"

// foreignTexts are what foreign writers write to max, through both of its names, and to the other settings that can be
// held: numbers below and above the wanted one, in other forms, and texts that are no number. The kernel would accept
// most of them.
var foreignTexts = []string{
	"65536", "65536\n", "1048576", "0x10000", "0200000", "0", "-1", "+8", "4294967295", "99999999999", "junk", "\n",
	"65536 7", strings.Repeat(" ", 100) + "65536", strings.Repeat("0", 100) + "65536",
}

// heldSettings are those that can be held without CAP_PERFMON.
var heldSettings = []string{"max", "buckets", "expect_max"}

// filesOf returns the files of a setting.
func filesOf(setting string) []string {
	if setting == "max" {
		return []string{sysctl(setting), alias}
	}
	return []string{sysctl(setting)}
}

// helper returns the path of a helper.
func helper(name string) string { return filepath.Join(os.Getenv("CTKEEPER_E2E_DIR"), name) }

// A windowReader reads a setting without a pause on the second processor.
type windowReader struct {
	cmd *exec.Cmd
	out *bufio.Reader
}

// readWindow starts to read a setting and to compare it with a value.
func readWindow(t *testing.T, setting, want string) windowReader {
	t.Helper()
	cmd := exec.Command(helper("window"), "read", "1", sysctl(setting), want)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := windowReader{cmd: cmd, out: bufio.NewReader(stdout)}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if line, err := r.out.ReadString('\n'); err != nil {
		t.Fatalf("the reader: %v: %s", err, line)
	}
	return r
}

// stop ends the reader. It returns how many reads there were, how many had another value, and the first such value.
func (r windowReader) stop(t *testing.T) (reads, others int, first string) {
	t.Helper()
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	line, err := r.out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(line, &reads, &others, &first); err != nil {
		t.Fatalf("the reader's result: %v: %q", err, line)
	}
	return reads, others, first
}

// checkWindow runs writers while a reader reads a setting, and checks that the reader saw no other value. It must have
// read at least once for a hundred writes: a host with other work may not run both processors at the same time.
func checkWindow(t *testing.T, setting string, writers func() (writes int)) {
	t.Helper()
	r := readWindow(t, setting, usualValues[setting])
	writes := writers()
	reads, others, first := r.stop(t)
	t.Logf("%s: %d foreign writes, %d reads meanwhile, %d of another value", setting, writes, reads, others)
	if others != 0 || reads <= writes/100 {
		t.Errorf("%s: %d of %d reads had another value, the first %s", setting, others, reads, first)
	}
}

// writeForeign writes foreign texts with the C program, in turn to the names of a setting. It returns how many failed,
// and the nanoseconds of a write.
func writeForeign(t *testing.T, setting string, count int) (failed, nanoseconds int) {
	t.Helper()
	args := []string{"write", "0", fmt.Sprint(count)}
	for _, text := range foreignTexts {
		for _, file := range filesOf(setting) {
			args = append(args, file+"="+text)
		}
	}
	var writes, total int
	if _, err := fmt.Sscan(run(t, helper("window"), args...), &writes, &failed, &total); err != nil {
		t.Fatal(err)
	}
	return failed, total / writes
}

// absorbedBy returns how many writes to a setting the metrics count as absorbed, by the label of the writer.
func absorbedBy(t *testing.T, setting, by string) int {
	t.Helper()
	return int(metric(t, fmt.Sprintf("ctkeeper_absorbed_writes_total{by=%q,setting=%q}", by, setting)))
}

// TestGuardHold: a foreign write of another value succeeds and changes nothing, whoever makes it. One of the wanted
// value is not reported.
func TestGuardHold(t *testing.T) {
	begin := startWithGuard(t, held, status.GuardHolding, systemd.GuardStep)
	for _, setting := range heldSettings {
		for _, file := range filesOf(setting) {
			for _, text := range foreignTexts {
				checkAccepted(t, file, text)
				if !isApplied(usualValues) {
					t.Errorf("%s: %q changed values", setting, text)
				}
			}
		}
	}
	for _, name := range []string{"net.netfilter.nf_conntrack_max", "net.nf_conntrack_max"} {
		if out := run(t, "sysctl", "-w", name+"=65536"); !strings.Contains(out, name+" = 65536") {
			t.Errorf("sysctl -w %s=65536: %s", name, out)
		}
	}
	run(t, "sh", "-e", "-c", "echo 65536 > "+sysctl("max"))
	pidOfCommand(t, containerCommand(strings.Join(onceCommand("max", "65536"), " ")))
	if !isApplied(usualValues) {
		t.Error("a command changed values")
	}
	since, count := begin.last(t), absorbedBy(t, "max", scenarioUnit)
	if want := 2*len(foreignTexts) + 4; count != want {
		t.Errorf("%d absorbed writes to max, want %d", count, want)
	}
	for _, text := range []string{"300000", "0x493e0", "01111740"} {
		checkAccepted(t, sysctl("max"), text)
	}
	checkAccepted(t, sysctl("buckets"), "99841")
	checkAccepted(t, sysctl("expect_max"), "4096")
	for _, e := range since.unitEntries(t) {
		t.Errorf("in the journal after writes of the wanted values: %s", e.get("MESSAGE"))
	}
	if n := absorbedBy(t, "max", scenarioUnit); n != count {
		t.Errorf("%d absorbed after writes of the wanted values, %d before", n, count)
	}
	if n := len(begin.events(t, "drift", "max")); n != 1 { // that of the load
		t.Errorf("%d drifts of max", n)
	}
	// How docs/guard.md raises max in an emergency.
	writeFile(t, "/run/ctkeeper/conf.d/99-now.yaml", "settings: {max: 400000}\n")
	waitApplied(t, prompt, map[string]string{"max": "400000"})
	checkAccepted(t, sysctl("max"), "300000")
	if got := read("max"); got != "400000" {
		t.Errorf("max is %s", got)
	}
}

// TestGuardHoldWindow: a reader on the other processor sees no other value while foreign writers write as fast as
// they can. The same reader sees a write that the guard only watches, and that ctkeeper, which is stopped meanwhile,
// repairs some time later.
func TestGuardHoldWindow(t *testing.T) {
	startWithGuard(t, held, status.GuardHolding, systemd.GuardStep)
	for _, c := range []struct {
		setting string
		writes  int
	}{
		{"max", 100_000}, {"expect_max", 5_000}, {"buckets", 200}, // each of these allocates a table
	} {
		checkWindow(t, c.setting, func() int {
			failed, nanoseconds := writeForeign(t, c.setting, c.writes)
			t.Logf("%s: %d ns a write", c.setting, nanoseconds)
			if failed != 0 {
				t.Errorf("%s: %d writes failed", c.setting, failed)
			}
			return c.writes
		})
	}
	checkWindow(t, "max", func() int { return writeWithTools(t) })
	resetHost(t)
	startWithGuard(t, usual+"guard: watch\n", status.GuardWatching, systemd.GuardStep)
	// Not buckets: a read during a write can undo that write (nf_conntrack_hash_sysctl).
	for setting, text := range map[string]string{"max": "65536", "expect_max": "8"} {
		r := readWindow(t, setting, usualValues[setting])
		freeze(t)
		checkAccepted(t, sysctl(setting), text)
		time.Sleep(100 * time.Millisecond)
		signal(t, syscall.SIGCONT)
		waitApplied(t, prompt, usualValues)
		reads, others, first := r.stop(t)
		t.Logf("with watch: %s: one foreign write, %d reads, %d of another value", setting, reads, others)
		if others == 0 || first != text {
			t.Errorf("%s: %d of %d reads had another value, the first %s, want %s", setting, others, reads, first, text)
		}
	}
}

// writeWithTools writes max with Go, a shell and sysctl.
func writeWithTools(t *testing.T) (writes int) {
	t.Helper()
	const setting = "max"
	const rounds, echoes = 10, 500
	for i := range rounds * len(foreignTexts) {
		checkAccepted(t, filesOf(setting)[i%2], foreignTexts[i%len(foreignTexts)])
	}
	loop := fmt.Sprintf("for i in $(seq %d); do echo $i > %s; done", echoes, sysctl(setting))
	run(t, "sh", "-e", "-c", loop)
	for i := range rounds {
		run(t, "sysctl", "-q", "-w", fmt.Sprintf("net.netfilter.nf_conntrack_%s=%d", setting, 1000+i))
	}
	return rounds*len(foreignTexts) + echoes + rounds
}

// TestGuardHoldOwners: programs that set max and expect_max succeed while nothing changes. Each is reported once for
// a setting, and each of its writes is counted.
func TestGuardHoldOwners(t *testing.T) {
	const file = "/etc/sysctl.d/70-conntrack-e2e.conf"
	const content = "net.netfilter.nf_conntrack_max = 65536\nnet.netfilter.nf_conntrack_expect_max = 8\n"
	const rounds = 3
	since := startWithGuard(t, held, status.GuardHolding, systemd.GuardStep)
	writeFile(t, file, content)
	loop := fmt.Sprintf("for i in $(seq %d); do sysctl -q -p %s || exit; sleep 1; done", rounds, file)
	want := map[string]int{}
	for name, c := range map[string]struct {
		run    func() (code int)
		writes int
	}{
		"systemd-sysctl": {func() int {
			_, code := try(t, "systemctl", "restart", "systemd-sysctl")
			return code
		}, 1},
		"e2e-system": {func() int { return runAsUnit(t, "e2e-system", "sysctl", "--system") }, 1},
		"e2e-load":   {func() int { return runAsUnit(t, "e2e-load", "sysctl", "-p", file) }, 1},
		"e2e-loop":   {func() int { return runAsUnit(t, "e2e-loop", "sh", "-c", loop) }, rounds},
	} {
		by := name + ".service"
		want[by] = c.writes
		checkWindow(t, "max", func() int {
			if code := c.run(); code != 0 {
				t.Errorf("%s: exit status %d", name, code)
			}
			return c.writes
		})
	}
	for _, setting := range []string{"max", "expect_max"} {
		counts, entries := map[string]int{}, map[string]int{}
		for by := range want {
			counts[by] = absorbedBy(t, setting, by)
		}
		for _, e := range since.events(t, "absorbed-write", setting) {
			t.Log(e.get("MESSAGE"))
			entries[e.get("CTKEEPER_BY_UNIT")]++
		}
		if diff := cmp.Diff(want, counts); diff != "" {
			t.Errorf("%s: absorbed writes (-want +got):\n%s", setting, diff)
		}
		for by := range want {
			if entries[by] != 1 {
				t.Errorf("%s: %d journal entries of %s, want 1", setting, entries[by], by)
			}
		}
	}
	for _, e := range since.query(t, "-u", "systemd-sysctl", "-p", "warning") {
		t.Errorf("systemd-sysctl: %s", e.get("MESSAGE"))
	}
}

// TestGuardHoldStrict: hold needs kernel.sysctl_writes_strict = 1. Otherwise a foreign write takes effect; it is
// repaired, and the guard watches, and reports why, until the value is 1 again.
func TestGuardHoldStrict(t *testing.T) {
	const strict = "/proc/sys/kernel/sysctl_writes_strict"
	since := startWithGuard(t, held, status.GuardHolding, systemd.GuardStep)
	t.Cleanup(func() { write(t, strict, "1") })
	for i, value := range []string{"0", "-1"} {
		write(t, strict, value)
		checkAccepted(t, sysctl("max"), fmt.Sprint(70000+i)) // the pass after it reads the file
		g := waitGuard(t, status.GuardWatching)
		waitApplied(t, prompt, usualValues)
		if len(g.Held) != 0 || !strings.Contains(missingReason(g, "hold"), "sysctl_writes_strict is "+value) {
			t.Errorf("sysctl_writes_strict=%s: %+v", value, g)
		}
		since.waitDrift(t, "max", fmt.Sprint(70000+i))
		write(t, strict, "1")
		checkAccepted(t, sysctl("max"), fmt.Sprint(80000+i))
		waitGuard(t, status.GuardHolding)
		waitApplied(t, prompt, usualValues)
		checkWindow(t, "max", func() int {
			failed, _ := writeForeign(t, "max", 1000)
			return 1000 - failed
		})
	}
	warnings := since.query(t, "-u", unit, "-p", "warning", "-g", "hold has no effect")
	if len(warnings) != 2 {
		t.Errorf("%d warnings, want 2", len(warnings))
	}
	for _, e := range warnings {
		t.Log(e.get("MESSAGE"), e.get("CTKEEPER_MISSING"), e.get("CTKEEPER_HINT"))
	}
}

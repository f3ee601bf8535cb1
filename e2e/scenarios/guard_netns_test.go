//go:build guest

package scenarios

import (
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/ctkeeper/ctkeeper/status"
)

// inNamespace are values of settings that each network namespace has for itself, one of every type that the kernel
// parses: seconds, a byte, an unsigned long. foreign are others. 5.10 refuses a frag6_high_thresh that is larger than
// the present one.
var (
	inNamespace = map[string]string{
		"tcp_timeout_established": "7200", "tcp_be_liberal": "0", "frag6_high_thresh": "4000000",
	}
	foreign = map[string]string{
		"tcp_timeout_established": "3333", "tcp_be_liberal": "1", "frag6_high_thresh": "3500000",
	}
)

// namespaced is usual with inNamespace.
var namespaced = strings.Replace(usual, "settings:\n",
	"settings:\n  tcp_be_liberal: false\n  frag6_high_thresh: 4000000\n", 1)

// TestGuardNamespaces: with CAP_PERFMON the guard sees in which network namespace a write takes effect. The host's own
// settings are held, or locked, whoever writes them; those of another namespace belong to others, and are not
// reported.
func TestGuardNamespaces(t *testing.T) {
	const writes = 10_000
	steps := guardSteps[len(guardSteps)-1].steps
	since := startWithGuard(t, namespaced+"guard: hold\n", status.GuardHolding, steps...)
	waitApplied(t, prompt, inNamespace)
	for _, c := range []struct {
		mode   string
		state  status.GuardState
		metric string
	}{
		{"hold", status.GuardHolding, "ctkeeper_absorbed_writes_total"},
		{"lock", status.GuardLocked, "ctkeeper_refused_writes_total"},
	} {
		writeFile(t, mainFile, namespaced+"guard: "+c.mode+"\n")
		run(t, "systemctl", "reload", unit)
		g := waitGuard(t, c.state)
		if !slices.Contains(g.Names, "netns") {
			t.Errorf("guard: %+v", g)
		}
		begin := since.last(t)
		for setting := range inNamespace {
			if !slices.Contains(slices.Concat(g.Held, g.Locked), setting) {
				t.Errorf("%s is not in %v, %v", setting, g.Held, g.Locked)
			}
			blocked := writeNamespaces(t, setting, c.state == status.GuardLocked)
			series := fmt.Sprintf("%s{by=%q,setting=%q}", c.metric, scenarioUnit, setting)
			if n := int(metric(t, series)); n != blocked {
				t.Errorf("%s is %d, want %d", series, n, blocked)
			}
		}
		for _, e := range begin.unitEntries(t) {
			t.Log(e.get("MESSAGE"))
			if kind := e.get("CTKEEPER_EVENT"); kind != "" && kind != "absorbed-write" && kind != "refused-write" {
				t.Errorf("an event of the kind %s", kind)
			}
		}
	}
	writeFile(t, mainFile, namespaced+"guard: hold\n")
	run(t, "systemctl", "reload", unit)
	waitGuard(t, status.GuardHolding)
	checkWindow(t, "tcp_timeout_established", func() int {
		if failed, _ := writeForeign(t, "tcp_timeout_established", writes); failed != 0 {
			t.Errorf("%d writes failed", failed)
		}
		return writes
	})
}

// writeNamespaces writes a setting of the host as others do, and the same one of another namespace. It returns how many
// writes were to the host's.
func writeNamespaces(t *testing.T, setting string, isRefused bool) (blocked int) {
	t.Helper()
	both := maps.Clone(usualValues)
	maps.Copy(both, inNamespace)
	file, value := sysctl(setting), foreign[setting]
	for name, cmd := range map[string]*exec.Cmd{
		"shell":     exec.Command("sh", "-e", "-c", "echo "+value+" > "+file),
		"container": containerCommand("echo " + value + " > " + file),
		// The namespace is that of the file, not that of the writer.
		"open file": exec.Command("sh", "-c", "exec unshare --net sh -e -c 'echo "+value+" >&3' 3>"+file),
	} {
		if out, err := cmd.CombinedOutput(); (err != nil) != isRefused || !isApplied(both) {
			t.Errorf("%s: %s: %v: %s; live value %s", setting, name, err, out, read(setting))
		}
		blocked++
	}
	inside := run(t, "unshare", "--net", "sh", "-e", "-c", "echo "+value+" > "+file+"; cat "+file)
	if inside != value+"\n" || !isApplied(both) {
		t.Errorf("%s: another namespace has %q, want %s", setting, inside, value)
	}
	return blocked
}

package daemon

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/internal/netns"
)

const procUDP = "/proc/sys/net/netfilter/nf_conntrack_udp_timeout"

func procValue(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// On the real kernel, in a network namespace of its own: timeouts are enforced,
// what belongs to the host is forbidden, and that is said once.
func TestKeepsOnTheKernel(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	d := start(t, "", "settings: {udp_timeout: 33, tcp_timeout_established: 24h, tcp_be_liberal: true, max: 4096}\n")
	if got := procValue(t, procUDP); got != "33" {
		t.Errorf("udp_timeout is %s when READY, want 33", got)
	}
	for _, foreign := range []string{"55", "66", "77"} {
		if out, err := exec.Command("sh", "-c", "echo "+foreign+" > "+procUDP).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		d.wait("repair", func() bool { return procValue(t, procUDP) == "33" })
	}
	// The one of the start, and three more; a pass of the timer can be the one that sees a write.
	d.wait("drifts logged", func() bool { return len(d.logs.FilterMessageSnippet("udp_timeout was ").All()) == 4 })
	if got := len(d.logs.FilterMessageSnippet("cannot enforce max").All()); got != 1 {
		t.Errorf("the forbidden max was said %d times, want once", got)
	}
	states := map[string]string{}
	for _, s := range d.status().Settings {
		states[s.Name] = string(s.State)
	}
	want := map[string]string{"max": "forbidden", "udp_timeout": "in-sync", "tcp_timeout_established": "in-sync",
		"tcp_be_liberal": "in-sync"}
	if diff := cmp.Diff(want, states); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
	if err := d.stop(); err != nil {
		t.Errorf("Run = %v after a stop, want nil", err)
	}
}

func TestStrictWhereNothingCanBeEnforced(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	d := start(t, "", "settings: {max: 4096}\n", func(o *Options) { o.Strict = true })
	if err := d.stop(); !errors.Is(err, ErrForbidden) {
		t.Errorf("Run = %v, want %v", err, ErrForbidden)
	}
}

// A second process that writes in a loop is contested, said once, and settled.
func TestContestOnTheKernel(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	d := start(t, "", "settings: {udp_timeout: 33}\n")
	count := func(kind string) (n int) {
		for _, k := range d.events() {
			if k == kind {
				n++
			}
		}
		return n
	}
	// A busy processor may see many writes in one pass, so this goes on until the contest is there.
	for n := 100; count("contested") == 0; n++ {
		if n == 100_000 {
			t.Fatalf("events %q after %d foreign writes, want a contest", d.events(), n-100)
		}
		if err := os.WriteFile(procUDP, []byte(strconv.Itoa(100+n%900)), 0); err != nil {
			t.Fatal(err)
		}
	}
	d.wait("repair", func() bool { return procValue(t, procUDP) == "33" })
	if count("contested") != 1 || count("settled") != 0 || count("drift") > 12 {
		t.Errorf("events %q, want about ten drifts and one contested", d.events())
	}
}

package daemon

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/guard"
	"github.com/ctkeeper/ctkeeper/host/logging"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/netns"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/sysfs"
	"github.com/ctkeeper/ctkeeper/systemd"
)

func TestBlockedWriteIsLoggedOncePerWriter(t *testing.T) {
	for kind, reported := range map[reconcile.Kind]func(status.Guard) []status.BlockedWrites{
		reconcile.KindRefusedWrite:  func(g status.Guard) []status.BlockedWrites { return g.Refused },
		reconcile.KindAbsorbedWrite: func(g status.Guard) []status.BlockedWrites { return g.Absorbed },
	} {
		t.Run(string(kind), func(t *testing.T) {
			checkBlocked(t, controlOf(t, "1", "max", "expect_max"), kind, reported)
		})
	}
}

// controlOf returns a guardControl that wants at least 1000 of the settings, on a host whose
// kernel.sysctl_writes_strict is strict.
func controlOf(t *testing.T, strict string, settings ...string) *guardControl {
	t.Helper()
	g := newGuardControl(tree.At(strictRoot(t, strict)))
	desired := &reconcile.Desired{Mode: reconcile.Enforce}
	for _, name := range settings {
		desired.Wants = append(desired.Wants,
			sysfs.Want{Setting: sysfs.Lookup(name), Policy: sysfs.AtLeast, Value: sysfs.Number(1000)})
	}
	if err := g.setDesired(desired); err != nil {
		t.Fatal(err)
	}
	return g
}

// strictRoot returns a tree with kernel.sysctl_writes_strict; it is left out where the value is empty.
func strictRoot(t *testing.T, value string) string {
	t.Helper()
	root := t.TempDir()
	setStrict(t, root, value)
	return root
}

func setStrict(t *testing.T, root, value string) {
	t.Helper()
	file := filepath.Join(root, "proc/sys/kernel/sysctl_writes_strict")
	if value == "" {
		_ = os.Remove(file) // it may not exist
		return
	}
	write(t, file, value+"\n")
}

func checkBlocked(
	t *testing.T, g *guardControl, kind reconcile.Kind, reported func(status.Guard) []status.BlockedWrites,
) {
	maximum, expect := sysfs.Lookup("max"), sysfs.Lookup("expect_max")
	block := func(s *sysfs.Setting, value string, by sysfs.Writer) reconcile.Event {
		e, ok := g.countBlocked(guard.BlockedWrite{
			At: time.Unix(1, 0), Setting: s, Value: value, By: by, Absorbed: kind == reconcile.KindAbsorbedWrite,
		})
		if !ok || e.Kind != kind {
			t.Errorf("%t, event: %+v", ok, e)
		}
		return e
	}
	proxy, shell := sysfs.Writer{PID: 7, Comm: "kube-proxy", Unit: "k.service"}, sysfs.Writer{PID: 8, Comm: "sh"}
	var quiet []bool
	for _, e := range []reconcile.Event{
		block(expect, "1", shell), block(maximum, "5", proxy),
		block(maximum, "6", sysfs.Writer{PID: 9, Comm: "kube-proxy", Unit: "k.service"}), block(maximum, "7", shell),
	} {
		quiet = append(quiet, e.CountOnly)
	}
	if diff := cmp.Diff([]bool{false, false, true, false}, quiet); diff != "" {
		t.Errorf("quiet (-want +got):\n%s", diff)
	}
	blocked := reported(g.report())
	if len(blocked) != 2 || len(g.report().Refused)+len(g.report().Absorbed) != 2 || blocked[0].Setting != "max" ||
		blocked[0].Count != 3 || blocked[0].Last.Value != "7" || blocked[0].Last.By.String() != shell.String() {
		t.Errorf("blocked: %+v", blocked)
	}
	if e := block(maximum, "8", sysfs.Writer{}); e.WantText() != "at_least 1000" {
		t.Errorf("event: %+v", e)
	}
	for i := range 2 * maxBlockedWriters {
		block(maximum, "9", sysfs.Writer{Comm: string(rune('a' + i))})
	}
	if len(g.logged) > maxBlockedWriters {
		t.Errorf("%d writers are remembered", len(g.logged))
	}
}

// A write that was to be absorbed changed the value where the kernel is not strict: it is not reported as absorbed.
func TestAbsorbedWithoutEffect(t *testing.T) {
	g := controlOf(t, "0", "max")
	for absorbed, want := range map[bool]bool{true: false, false: true} {
		if _, ok := g.countBlocked(guard.BlockedWrite{Setting: sysfs.Lookup("max"), Absorbed: absorbed}); ok != want {
			t.Errorf("absorbed %t: reported %t", absorbed, ok)
		}
	}
}

// Of what is kept, what CanBlock is locked or held.
func TestBlockedSettings(t *testing.T) {
	g := controlOf(t, "1", "max", "udp_timeout", "expect_max")
	g.guard = &guard.Guard{}
	both, none := []string{"max", "expect_max"}, []string{}
	for state, want := range map[status.GuardState][2][]string{
		status.GuardLocked: {both, none}, status.GuardHolding: {none, both}, status.GuardWatching: {none, none},
		status.GuardOff: {none, none},
	} {
		g.status.State = state
		s := g.report()
		if diff := cmp.Diff(want, [2][]string{s.Locked, s.Held}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", state, diff)
		}
	}
}

// A foreign write succeeds and changes nothing. It is an event and a count, and no drift.
func TestGuardAbsorbs(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	needGuard(t)
	d := start(t, "", guarded+"hold\n")
	if !slices.Contains(d.status().Guard.Held, "udp_timeout") {
		netns.Cannot(t, "without CAP_PERFMON nothing of a network namespace of its own is held")
	}
	for range 3 {
		if err := writeLikeAContainer("55"); err != nil {
			t.Fatal(err)
		}
		if value := procValue(t, procUDP); value != "33" {
			t.Errorf("udp_timeout is %s after an absorbed write", value)
		}
	}
	d.wait("three absorbed writes", func() bool {
		absorbed := d.status().Guard.Absorbed
		return len(absorbed) == 1 && absorbed[0].Count == 3
	})
	d.wait("an entry", func() bool { return d.logged("udp_timeout: absorbed a write of 55 by sh (pid ") })
	kinds := slices.DeleteFunc(d.events(), func(kind string) bool { return kind == string(reconcile.KindConfigLoaded) })
	want := []string{string(reconcile.KindDrift), string(reconcile.KindAbsorbedWrite)} // the drift of the start
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if !d.logged("; to change the value, edit /") {
		t.Error("the entry does not say where the value can be changed")
	}
}

// hold is armed only while kernel.sysctl_writes_strict is 1. A pass looks, and one line says what changed.
func TestHoldNeedsStrictWrites(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	needGuard(t)
	core, logs := observer.New(zapcore.InfoLevel)
	d := newDaemon(Options{Log: logging.New(core), Notify: systemd.NewNotifier()})
	root := strictRoot(t, "1")
	d.guard.files = sysfs.NewReader(tree.At(root))
	wants := controlOf(t, "1", "udp_timeout").desired
	d.cfg = &config.Config{}
	d.keeper = reconcile.New(d.keeperOptions(sysfs.NewFiles(tree.Tree{}), nil), wants)
	running, err := guard.Open(guard.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = running.Close() }()
	cfg := config.Guard{Mode: config.GuardHold}
	if err := d.guard.setGuard(running, cfg, stoppedGuard(cfg)); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		strict string
		state  status.GuardState
		why    string
		log    string
	}{
		{"1", status.GuardHolding, "", ""},
		{"0", status.GuardWatching, "kernel.sysctl_writes_strict is 0, and hold needs 1", "WARN guard: watching, hold"},
		{"-1", status.GuardWatching, "kernel.sysctl_writes_strict is -1, and hold needs 1", ""},
		{"1", status.GuardHolding, "", "INFO guard: holding"},
		{"", status.GuardWatching, "no such file or directory", "WARN guard: watching, hold"},
		{"1", status.GuardHolding, "", "INFO guard: holding"},
	} {
		setStrict(t, root, step.strict)
		for range 2 {
			d.keeper.Pass(reconcile.Resync, time.Now())
		}
		if err := writeLikeAContainer("55"); err != nil {
			t.Fatal(err)
		}
		isHeld := step.state == status.GuardHolding && running.Features().Netns
		if value := procValue(t, procUDP); value != map[bool]string{true: "1000", false: "55"}[isHeld] {
			t.Errorf("%q: udp_timeout is %s after a write of 55", step.strict, value)
		}
		s := d.guard.report()
		if s.State != step.state || (len(s.Missing) == 1) != (step.why != "") ||
			step.why != "" && (s.Missing[0].What != "hold" || !strings.HasSuffix(s.Missing[0].Why, step.why)) {
			t.Errorf("%q: %s, missing %+v", step.strict, s.State, s.Missing)
		}
		d.log.drain()
		var said string
		for _, e := range logs.TakeAll() {
			if strings.HasPrefix(e.Message, "guard: ") {
				said += e.Level.CapitalString() + " " + e.Message
			}
		}
		if !strings.HasPrefix(said, step.log) || step.log == "" && said != "" {
			t.Errorf("%q: said %q, want %q", step.strict, said, step.log)
		}
	}
	d.guard.files = sysfs.NewReader(tree.Tree{})
	_ = d.guard.setConfig(cfg)
	if n := testing.AllocsPerRun(100, func() { _, _ = d.guard.recheckHold() }); n > 0 {
		t.Errorf("%.0f allocations to look at kernel.sysctl_writes_strict, want none", n)
	}
}

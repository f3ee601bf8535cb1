package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/guard"
	"github.com/ctkeeper/ctkeeper/host/capability"
	"github.com/ctkeeper/ctkeeper/host/logging"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/netns"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/sysfs"
	"github.com/ctkeeper/ctkeeper/systemd"
)

// guarded is a configuration whose resync is so long that only the guard explains a prompt
// repair of what inotify does not see.
const guarded = "settings: {udp_timeout: 33}\nenforcement: {resync: 1h}\nguard: "

// needGuard ends a test where this machine can have no guard.
func needGuard(t *testing.T) {
	t.Helper()
	g, err := guard.Open(guard.Options{})
	if err != nil {
		netns.Cannot(t, "%v", err)
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
}

// writeLikeAContainer writes through a procfs of its own.
func writeLikeAContainer(value string) error {
	out, err := exec.Command("unshare", "--pid", "--fork", "--mount-proc", "sh", "-c",
		"echo "+value+" > "+procUDP).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

func TestGuardSeesContainers(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	needGuard(t)
	d := start(t, "", guarded+"watch\n")
	if err := writeLikeAContainer("55"); err != nil {
		t.Fatal(err)
	}
	d.wait("repair", func() bool { return procValue(t, procUDP) == "33" })
	d.wait("drift logged", func() bool { return d.logged("udp_timeout was set to 55 by sh (pid ") })
	entry := d.logs.FilterMessageSnippet("udp_timeout was set to 55").All()[0].ContextMap()
	if entry[systemd.KeyByComm] != "sh" || entry[systemd.KeyByPID] == int64(0) || entry[systemd.KeyCause] != "write" {
		t.Errorf("the entry's fields are %v", entry)
	}
	document := d.status()
	if by := document.Settings[0].LastDrift.By; by == nil || by.Comm != "sh" {
		t.Errorf("the last drift is by %v, want sh", by)
	}
	if g := document.Guard; g.State != status.GuardWatching || g.Mode != "watch" {
		t.Errorf("guard: %+v", g)
	}
}

// The guard follows the configuration, and nothing of it stays.
func TestGuardFollowsConfiguration(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	needGuard(t)
	d := start(t, "", guarded+"off\n")
	file := d.status().Daemon.Config.Files[0]
	before := bpfDescriptors(t)
	for _, step := range []struct {
		guard string
		state status.GuardState
	}{
		{"watch", status.GuardWatching}, {"lock", status.GuardLocked}, {"hold", status.GuardHolding},
		{"{mode: lock, allow: [a.service]}", status.GuardLocked},
		{"watch\nnonsense: 1", status.GuardLocked}, {"watch", status.GuardWatching}, {"off", status.GuardOff},
		{"watch", status.GuardWatching}, {"off", status.GuardOff},
	} {
		write(t, file, guarded+step.guard+"\n")
		d.wait("guard "+step.guard, func() bool { return d.status().Guard.State == step.state })
		if step.state != status.GuardOff {
			s := d.status().Guard
			if err := writeLikeAContainer("55"); (err != nil) != slices.Contains(s.Locked, "udp_timeout") {
				t.Errorf("guard: %s, locked %q: the write ends with %v", step.guard, s.Locked, err)
			}
		}
		d.wait("repair", func() bool { return procValue(t, procUDP) == "33" })
	}
	d.wait("no program is left", func() bool { return bpfDescriptors(t) == before })
	if err := d.stop(); err != nil {
		t.Error(err)
	}
}

func bpfDescriptors(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, fd := range fds {
		target, _ := os.Readlink(filepath.Join("/proc/self/fd", fd.Name()))
		if strings.Contains(target, "bpf") {
			n++
		}
	}
	return n
}

// A guard that fails is reported as unavailable, until another one runs.
func TestGuardFails(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	needGuard(t)
	main := filepath.Join(t.TempDir(), "ctkeeper.yaml")
	write(t, main, guarded+"watch\n")
	source := config.Source{Main: main}
	cfg, err := source.Load()
	if err != nil {
		t.Fatal(err)
	}
	d := newDaemon(Options{Source: source, Log: logging.NewNop(), Notify: systemd.NewNotifier()})
	d.cfg = cfg
	d.keeper = reconcile.New(d.keeperOptions(sysfs.NewFiles(tree.Tree{}), nil), &cfg.Desired)
	var tasks errgroup.Group
	tasks.Go(func() error { return d.watchGuard(t.Context()) })
	<-d.guard.ready
	if err := d.guard.current().Close(); err != nil {
		t.Error(err)
	}
	if err := tasks.Wait(); err == nil {
		t.Error("no failure")
	}
	if got := d.guard.report(); got.State != status.GuardUnavailable || got.Error == "" || got.Mode != "watch" {
		t.Errorf("guard: %+v", got)
	}
}

// Without a cgroup v2 tree the daemon works as without the guard, and says once why it has
// none and how to have it.
func TestGuardUnavailable(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	if err := unix.Unmount("/sys/fs/cgroup", unix.MNT_DETACH); err != nil {
		netns.Cannot(t, "cannot take the cgroup trees away: %v", err)
	}
	d := start(t, "", guarded+"lock\n")
	if out, err := exec.Command("sh", "-c", "echo 55 > "+procUDP).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	d.wait("repair", func() bool { return procValue(t, procUDP) == "33" })
	got := d.status().Guard
	want := stoppedGuard(config.Guard{Mode: config.GuardLock})
	want.State, want.Error = status.GuardUnavailable, guard.ErrNoCgroup2.Error()
	want.Missing = got.Missing
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("guard (-want +got):\n%s", diff)
	}
	if len(got.Missing) != 1 || !strings.Contains(got.Missing[0].Hint, "systemd.unified_cgroup_hierarchy=1") {
		t.Errorf("missing: %+v", got.Missing)
	}
	if said := d.logs.FilterMessageSnippet("guard: unavailable").All(); len(said) != 1 ||
		said[0].ContextMap()[systemd.KeyHint] == "" {
		t.Errorf("said %d times: %v", len(said), said)
	}
}

func TestJoinMissing(t *testing.T) {
	missing, hint := joinMissing(missingWithHints(
		capability.Missing{What: "who loads the module", Why: "CAP_PERFMON is missing", Capability: guard.CapPerfmon},
		capability.Missing{What: "the pid of a writer", Why: "this kernel has none"},
		capability.Missing{
			What: "the command of a writer", Why: "CAP_PERFMON is missing", Capability: guard.CapPerfmon,
		},
	))
	want := "CAP_PERFMON is missing: who loads the module, the command of a writer; " +
		"this kernel has none: the pid of a writer"
	if missing != want {
		t.Errorf("missing = %q, want %q", missing, want)
	}
	if hint != systemd.PerfmonStep {
		t.Errorf("hint = %q", hint)
	}
	_, err := (&Daemon{host: tree.At("/x")}).openGuard(config.Guard{})
	if !errors.As(err, new(*guard.Unavailable)) {
		t.Errorf("below a root: %v", err)
	}
}

// sleep ends when its time is over, when it is woken, and with its context.
func TestSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		sleep(t.Context(), guardRetry, nil)
		if took := time.Since(start); took != guardRetry {
			t.Errorf("slept %s, want %s", took, guardRetry)
		}
		woken := make(chan struct{})
		close(woken)
		sleep(t.Context(), 0, woken)
		ended, end := context.WithCancel(t.Context())
		end()
		sleep(ended, 0, nil)
		if took := time.Since(start); took != guardRetry {
			t.Errorf("slept %s although it was woken, and its context had ended", took-guardRetry)
		}
	})
}

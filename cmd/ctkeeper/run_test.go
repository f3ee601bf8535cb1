package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
	"github.com/ctkeeper/ctkeeper/internal/netns"
	"github.com/ctkeeper/ctkeeper/status"
)

// start runs the daemon below root until stop is called, which gives how it
// ended.
func start(t *testing.T, root string, args ...string) (stop func() result) {
	t.Helper()
	t.Setenv("NOTIFY_SOCKET", "")
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan result, 1)
	args = append([]string{"run", "--root", root, "--log-format", "console"}, args...)
	go func() { ended <- ctkeeper(ctx, args...) }()
	stopped := false
	stop = func() result {
		stopped = true
		cancel()
		return <-ended
	}
	t.Cleanup(func() {
		if !stopped {
			stop()
		}
	})
	return stop
}

func TestRun(t *testing.T) {
	root := host(t, drifting)
	stop := start(t, root)
	eventually(t, "the first pass is done", func() bool {
		return ctkeeper(t.Context(), "status", "--root", root, "-o", "json").status == 0
	})
	for setting, want := range map[string]string{"hashsize": "131072", "max": "1048576",
		"tcp_timeout_established": "86400"} {
		if got := kerneltree.Get(t, root, setting); got != want {
			t.Errorf("%s is %s, want %s", setting, got, want)
		}
	}
	ctkeeper(t.Context(), "status", "--root", root).wants(t, 0, []string{"running since", "3", "in-sync"}, nil)

	kerneltree.Set(t, root, "max", "1000")
	eventually(t, "max is repaired", func() bool { return kerneltree.Get(t, root, "max") == "1048576" })
	eventually(t, "the drift is in the history", func() bool {
		return strings.Contains(ctkeeper(t.Context(), "events", "--root", root).stdout,
			"max was 1000, wanted 1048576: repaired in ")
	})
	ctkeeper(t.Context(), "events", "--root", root, "-o", "json", "--since", "1h").wants(t, 0,
		[]string{`"event":"drift"`, `"found":1000`}, nil)
	ctkeeper(t.Context(), "run", "--root", root).wants(t, 1, nil, []string{"another ctkeeper is running"})

	stop().wants(t, 0, nil, []string{"max was 65536, wanted 1048576", "max was 1000, wanted 1048576"})
	if _, err := os.Lstat(status.SocketPath(root)); !os.IsNotExist(err) {
		t.Errorf("the socket is still there (%v)", err)
	}
	ctkeeper(t.Context(), "events", "--root", root).wants(t, 0, []string{"max was 1000, wanted 1048576"},
		[]string{"no daemon is running; this is the history file"})
	if got := kerneltree.Get(t, root, "max"); got != "1048576" {
		t.Errorf("stopping changed max to %s", got)
	}
}

// The daemon has no huge pages: proc(5) has THP_enabled 0 for a process that prctl(2) has excluded.
func TestRunUsesNoHugePages(t *testing.T) {
	start(t, host(t, drifting))
	eventually(t, "huge pages are off", func() bool {
		text, err := os.ReadFile("/proc/self/status")
		return err == nil && strings.Contains(string(text), "\nTHP_enabled:\t0\n")
	})
}

// apply warns when a running daemon wants other values, and is silent when it wants the same.
func TestApplyBesideDaemon(t *testing.T) {
	root := host(t, drifting)
	start(t, root)
	eventually(t, "the first pass is done", func() bool {
		return ctkeeper(t.Context(), "status", "--root", root).status == 0
	})
	ctkeeper(t.Context(), "apply", "--root", root, "--log-format", "console").wants(t, 0, []string{"in-sync"}, nil)
	kerneltree.Put(t, root, "etc/other.yaml", "settings: {max: 2000000, hashsize: 131072}\n")
	got := ctkeeper(t.Context(), "apply", "--root", root, "--config", "/etc/other.yaml", "--log-format", "console")
	warning := "wants other values and will write them again: max (daemon exactly 1048576, applied exactly 2000000); " +
		"its configuration is /etc/ctkeeper/ctkeeper.yaml\n"
	got.wants(t, 0, []string{"in-sync"}, []string{"ctkeeper: the running daemon (pid ", warning})
}

// status with --config is refused where the running daemon uses another file.
func TestStatusOfAnotherFile(t *testing.T) {
	root := host(t, standing)
	kerneltree.Put(t, root, "etc/other.yaml", "settings: {max: 5}\n")
	other := []string{"status", "--root", root, "--config", "/etc/other.yaml"}
	ctkeeper(t.Context(), other...).wants(t, 1, []string{"config:  /etc/other.yaml\n"}, nil) // no daemon yet
	start(t, root)
	running := func(args ...string) result { return ctkeeper(t.Context(), append(args, "--root", root)...) }
	eventually(t, "the daemon answers", func() bool {
		return strings.Contains(running("status").stdout, "running since")
	})
	running("status", "--config", config.DefaultMain).wants(t, 0, []string{"running since"}, nil)
	running("status", "--config", "/etc/other.yaml").wants(t, 2, nil, []string{
		"ctkeeper: the running daemon does not use /etc/other.yaml, " +
			"its configuration is /etc/ctkeeper/ctkeeper.yaml; " +
			"leave --config out, or compare the kernel with the file: ctkeeper diff --config /etc/other.yaml\n",
	})
	kerneltree.Put(t, root, config.DefaultMain, broken)
	eventually(t, "the refusal is shown", func() bool { return running("status").status == exitConfig })
	running("status").wants(t, exitConfig, []string{"newest configuration was refused"}, nil)
}

// listen takes the place of a daemon's status socket.
func listen(t *testing.T, root string) net.Listener {
	t.Helper()
	socket := status.SocketPath(root)
	if err := os.MkdirAll(filepath.Dir(socket), 0o755); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// The settings are as wanted, and a daemon that does not answer may have stopped to keep them so.
func TestStatusOfASickDaemon(t *testing.T) {
	root := host(t, standing)
	listener := listen(t, root)
	var served sync.WaitGroup
	defer served.Wait()
	defer func() { _ = listener.Close() }()
	served.Go(func() {
		for conn, err := listener.Accept(); err == nil; conn, err = listener.Accept() {
			_ = conn.Close()
		}
	})
	ctkeeper(t.Context(), "status", "--root", root).wants(t, exitUnknown,
		[]string{"daemon:  cannot ask the daemon", "in-sync"}, nil)
	// A refused configuration does not make it a daemon that is not running.
	kerneltree.Put(t, root, config.DefaultMain, broken)
	ctkeeper(t.Context(), "status", "--brief", "--root", root).wants(t, exitConfig,
		[]string{"cannot ask the daemon", "and 1 other problem"}, nil)
}

func TestEventsFollow(t *testing.T) {
	root := host(t, drifting)
	start(t, root)
	eventually(t, "the daemon answers", func() bool {
		return strings.Contains(ctkeeper(t.Context(), "status", "--root", root).stdout, "running since")
	})
	ctx, cancel := context.WithCancel(t.Context())
	var stdout, stderr bytes.Buffer
	// The first event that follows ends the following.
	status := execute(ctx, []string{"events", "-f", "-o", "json", "--root", root}, writer(func(text []byte) {
		stdout.Write(text)
		cancel()
	}), &stderr)
	result{status, stdout.String(), stderr.String()}.wants(t, 0, []string{`"event":"config-loaded"`}, nil)
}

// writer is a function as an io.Writer.
type writer func([]byte)

func (w writer) Write(text []byte) (int, error) {
	w(text)
	return len(text), nil
}

func TestRunShowsItsStatus(t *testing.T) {
	root := host(t, standing)
	stop := start(t, root, "--show")
	eventually(t, "the daemon is up", func() bool {
		got := ctkeeper(t.Context(), "status", "--root", root, "-o", "json")
		var s status.Document
		return json.Unmarshal([]byte(got.stdout), &s) == nil && s.Daemon.Running && !s.Differs() && len(s.Settings) == 2
	})
	got := stop()
	if got.status != 0 || !strings.Contains(got.stdout, "running since") {
		t.Errorf("status %d, standard output:\n%s", got.status, got.stdout)
	}
}

func TestRunWaitsForTheModule(t *testing.T) {
	root := host(t, drifting)
	kerneltree.Unload(t, root)
	stop := start(t, root)
	eventually(t, "the daemon waits", func() bool {
		got := ctkeeper(t.Context(), "status", "--root", root)
		return got.status == 2 && strings.Contains(got.stdout, "running since") &&
			strings.Contains(got.stdout, "pending")
	})
	kerneltree.Load(t, root)
	eventually(t, "the values are applied", func() bool { return kerneltree.Get(t, root, "max") == "1048576" })
	eventually(t, "the load is in the history", func() bool {
		return strings.Contains(ctkeeper(t.Context(), "events", "--root", root).stdout, "nf_conntrack was loaded")
	})
	stop().wants(t, 0, nil, []string{"nf_conntrack was loaded"})
}

// On the real kernel: nothing but Global settings is asked for, in a namespace
// that may not set them.
func TestRunStrict(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	if _, err := os.Stat("/proc/sys/net/netfilter/nf_conntrack_max"); err != nil {
		netns.Cannot(t, "this kernel has no nf_conntrack, or it is not loaded: %v", err)
	}
	dir := t.TempDir()
	t.Setenv("RUNTIME_DIRECTORY", filepath.Join(dir, "ctkeeper")) // not the host's
	t.Setenv("STATE_DIRECTORY", filepath.Join(dir, "ctkeeper"))
	t.Setenv("NOTIFY_SOCKET", "")
	file := filepath.Join(dir, "ctkeeper.yaml")
	if err := os.WriteFile(file, []byte("settings: {max: 12345}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	ctkeeper(t.Context(), "run", "--strict", "--config", file, "--log-format", "console").
		wants(t, 77, nil, []string{"cannot enforce max: permission denied", "initial network namespace",
			"ctkeeper: nothing can be enforced here: every write is forbidden"})
	// A timeout of its own it may set.
	if err := os.WriteFile(file, []byte("settings: {udp_timeout: 45s}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	ctkeeper(t.Context(), "apply", "--config", file, "--log-format", "console").
		wants(t, 0, []string{"in-sync"}, []string{"udp_timeout was 30, wanted 45: repaired"})
	ctkeeper(t.Context(), "diff", "--config", file).wants(t, 0, []string{"Nothing differs"}, nil)
}

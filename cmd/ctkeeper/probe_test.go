package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
)

func TestProbes(t *testing.T) {
	root := host(t, drifting)
	ready := func() result { return ctkeeper(t.Context(), "status", "--ready", "--root", root) }
	alive := func() result { return ctkeeper(t.Context(), "status", "--alive", "--root", root) }
	ready().wants(t, exitNo, nil, []string{"not ready: cannot ask the daemon"})
	alive().wants(t, exitNo, nil, []string{"not alive: cannot ask the daemon"})

	start(t, root)
	eventually(t, "the first pass is done", func() bool { return alive().status == 0 })
	ready().wants(t, 0, []string{"ready: all 3 settings are in effect"}, nil)
	alive().wants(t, 0, []string{"alive"}, nil)

	// A setting that cannot be kept is no reason for a restart.
	file := filepath.Join(root, "proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(file, 0o755); err != nil {
		t.Fatal(err)
	}
	kerneltree.Set(t, root, "max", "1000") // which wakes the daemon
	eventually(t, "it is not ready", func() bool { return ready().status == exitNo })
	ready().wants(t, exitNo, nil, []string{"not ready: tcp_timeout_established"})
	alive().wants(t, 0, []string{"alive"}, nil)
}

// A host without the module is ready, and so is a daemon that only observes.
func TestReady(t *testing.T) {
	for name, test := range map[string]struct {
		absent bool
		args   []string
		want   string
	}{
		"pending":   {true, nil, "ready: waiting for nf_conntrack"},
		"observing": {false, []string{"--observe"}, "drifted, mode observe"},
	} {
		t.Run(name, func(t *testing.T) {
			root := host(t, drifting)
			if test.absent {
				kerneltree.Unload(t, root)
			}
			start(t, root, test.args...)
			ready := func() result { return ctkeeper(t.Context(), "status", "--ready", "--root", root) }
			eventually(t, "it is ready", func() bool { return ready().status == 0 })
			ready().wants(t, 0, []string{test.want}, nil)
		})
	}
}

// A daemon that hangs fails both probes soon.
func TestProbesOfAHangingDaemon(t *testing.T) {
	root := host(t, drifting)
	listener := listen(t, root)
	defer func() { _ = listener.Close() }()
	for _, probe := range []string{"--ready", "--alive"} {
		began := time.Now()
		ctkeeper(t.Context(), "status", probe, "--root", root).wants(t, exitNo, nil, []string{"cannot ask the daemon"})
		if took := time.Since(began); took < probeTimeout/2 || took > 3*probeTimeout {
			t.Errorf("%s took %s, want about %s", probe, took, probeTimeout)
		}
	}
}

func TestWrongProbes(t *testing.T) {
	root := host(t, drifting)
	for _, args := range [][]string{
		{"--ready", "--alive"}, {"--ready", "-o", "json"}, {"--alive", "--config", "/etc/x.yaml"},
		{"--ready", "--watch"}, {"--alive", "--brief"},
	} {
		all := append([]string{"status", "--root", root}, args...)
		ctkeeper(t.Context(), all...).wants(t, exitUsage, nil, []string{args[0][2:]})
	}
}

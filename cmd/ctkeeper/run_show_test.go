package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
	"github.com/ctkeeper/ctkeeper/status"
)

// TestRunShow begins with what is to be written and ends with what to do next.
func TestRunShow(t *testing.T) {
	for name, test := range map[string]struct {
		args  []string
		begin string
	}{
		"enforce": {nil, "These settings will be written, now and after each change of them. Only to look: "},
		"observe": {[]string{"--observe"}, "This only looks, and writes nothing. As it is now:\n"},
	} {
		t.Run(name, func(t *testing.T) {
			root := host(t, drifting+"module: {load: true}\n")
			before := kerneltree.Get(t, root, "max")
			stop := start(t, root, append(test.args, "--show")...)
			eventually(t, "the first pass is done", func() bool {
				return strings.Contains(ctkeeper(t.Context(), "status", "--root", root).stdout, "running since")
			})
			kerneltree.Set(t, root, "max", "1000")
			repaired := name == "enforce"
			eventually(t, "the drift was seen", func() bool {
				events := ctkeeper(t.Context(), "events", "--root", root).stdout
				return strings.Contains(events, "max was 1000, wanted 1048576") &&
					(kerneltree.Get(t, root, "max") == "1048576") == repaired
			})
			got := stop()
			if got.status != 0 || !strings.HasPrefix(got.stdout, test.begin) ||
				!strings.Contains(got.stdout, "max                      "+before+"  ") ||
				!strings.Contains(got.stdout, "\nNext, in another terminal:\n") {
				t.Errorf("status %d, standard output:\n%s", got.status, got.stdout)
			}
			_, err := os.Stat(filepath.Join(root, status.HistoryPath("")))
			if hasHistory := err == nil; hasHistory != repaired {
				t.Errorf("history: %v", err)
			}
		})
	}
}

// TestRunIsQuiet prints nothing more where its output is no terminal, as under systemd.
func TestRunIsQuiet(t *testing.T) {
	root := host(t, drifting)
	stop := start(t, root)
	eventually(t, "the first pass is done", func() bool { return kerneltree.Get(t, root, "max") == "1048576" })
	if got := stop(); got.stdout != "" {
		t.Errorf("standard output:\n%s", got.stdout)
	}
}

func TestRunShowWithoutModule(t *testing.T) {
	root := host(t, drifting)
	kerneltree.Unload(t, root)
	stop := start(t, root, "--show")
	eventually(t, "the daemon waits", func() bool {
		return strings.Contains(ctkeeper(t.Context(), "status", "--root", root).stdout, "running since")
	})
	if got := stop(); !strings.HasPrefix(got.stdout, "nf_conntrack is not loaded: these settings will be") {
		t.Errorf("standard output:\n%s", got.stdout)
	}
}

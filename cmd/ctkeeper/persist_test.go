package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
	"github.com/ctkeeper/ctkeeper/persist"
)

const options = "options nf_conntrack hashsize=131072\n"

// bootFiles gives the content of persist's files that are there.
func bootFiles(t *testing.T, root string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, path := range persist.Paths() {
		if text, err := os.ReadFile(filepath.Join(root, path)); err == nil {
			found[path] = string(text)
		}
	}
	return found
}

func TestPersist(t *testing.T) {
	root := host(t, drifting+"module: {load: true}\n")
	run := func(args string) result {
		return ctkeeper(t.Context(), append(strings.Fields("persist "+args), "--root", root)...)
	}
	run("--dry-run").wants(t, 0, []string{"--- /dev/null\n+++ /etc/modprobe.d/ctkeeper.conf\n", "+" + options,
		"+nf_conntrack\n"}, nil)
	if found := bootFiles(t, root); len(found) != 0 {
		t.Fatalf("a dry run wrote %v", found)
	}
	run("").wants(t, 0, []string{"wrote /etc/modprobe.d/ctkeeper.conf\nwrote /etc/modules-load.d/ctkeeper.conf\n"}, nil)
	if text := bootFiles(t, root)[persist.ModprobePath]; !strings.HasSuffix(text, "\n"+options) {
		t.Errorf("modprobe.d has:\n%s", text)
	}
	run("").wants(t, 0, []string{"Nothing to change.\n"}, nil)
	run("--dry-run").wants(t, 0, nil, nil)

	before := bootFiles(t, root)
	kerneltree.Put(t, root, config.DefaultMain, broken)
	run("").wants(t, 78, nil, []string{"ctkeeper.yaml:2:3: ", "ctkeeper.yaml:3:8: "})
	if diff := cmp.Diff(before, bootFiles(t, root)); diff != "" {
		t.Errorf("a refused configuration changed (-before +after):\n%s", diff)
	}
	run("--remove --dry-run").wants(t, 0, []string{"+++ /dev/null\n"}, nil)
	run("--remove").wants(t, 0, []string{"removed /etc/modprobe.d/ctkeeper.conf\nremoved " +
		"/etc/modules-load.d/ctkeeper.conf\n"}, nil)
	if found := bootFiles(t, root); len(found) != 0 {
		t.Errorf("--remove left %v", found)
	}
}

// Directories that persist makes are for everybody, whatever the service's mask is.
func TestPersistMakesDirectories(t *testing.T) {
	root := host(t, drifting)
	ctkeeper(t.Context(), "persist", "--root", root).wants(t, 0, []string{"wrote"}, nil)
	info, err := os.Stat(filepath.Join(root, filepath.Dir(persist.ModprobePath)))
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o755 {
		t.Errorf("its mode is %o", mode)
	}
}

func TestPersistErrors(t *testing.T) {
	root := host(t, drifting+"module: {load: true, parameters: {nf_conntrack_helper: true}}\n")
	kerneltree.Put(t, root, persist.ModulesLoadPath, "nf_conntrack\n")
	const taken = "cannot write /etc/modules-load.d/ctkeeper.conf: not written by ctkeeper: move it away first"
	const missing = "nf_conntrack_helper left out " +
		"(module.parameters.nf_conntrack_helper, /etc/ctkeeper/ctkeeper.yaml:5): " +
		"this host's nf_conntrack has no such parameter (/sys/module/nf_conntrack/parameters)"
	ctkeeper(t.Context(), "persist", "--root", root).wants(t, 1,
		[]string{"wrote /etc/modprobe.d/ctkeeper.conf\n"}, []string{"note: " + missing + "\n", "ctkeeper: " + taken +
			"\n"})
	got := ctkeeper(t.Context(), "persist", "--root", root, "-o", "json")
	var doc persist.Report
	if err := json.Unmarshal([]byte(got.stdout), &doc); err != nil {
		t.Fatalf("%v\n%s", err, got.stdout)
	}
	if !strings.HasPrefix(got.stdout, "{\n  \"api\": 1,\n") {
		t.Errorf("the document does not begin with its api:\n%s", got.stdout)
	}
	want := persist.Report{
		Files: []persist.FileReport{{Path: persist.ModprobePath, Change: persist.Unchanged}},
		Notes: []string{missing}, Errors: []string{taken},
	}
	if diff := cmp.Diff(want, doc); diff != "" {
		t.Errorf("the document (-want +got):\n%s", diff)
	}
}

// Whoever only observes changes nothing for the next boot either.
func TestPersistObserving(t *testing.T) {
	const observing = "enforcement: {mode: observe}\n"
	root := host(t, drifting+observing)
	ctkeeper(t.Context(), "persist", "--root", root).wants(t, 0, []string{"Nothing to change."},
		[]string{"note: the boot files are not changed, because enforcement.mode is observe"})
	ctkeeper(t.Context(), "persist", "--dry-run", "--root", root).wants(t, 0, []string{options}, nil)
	if found := bootFiles(t, root); len(found) != 0 {
		t.Errorf("observing wrote %v", found)
	}
	kerneltree.Put(t, root, config.DefaultMain, drifting)
	ctkeeper(t.Context(), "persist", "--root", root).wants(t, 0, []string{"wrote"}, nil)
	kerneltree.Put(t, root, config.DefaultMain, drifting+observing)
	ctkeeper(t.Context(), "persist", "--root", root).wants(t, 0, []string{"Nothing to change."}, nil)
	ctkeeper(t.Context(), "persist", "--remove", "--root", root).wants(t, 0, []string{"removed"}, nil)
}

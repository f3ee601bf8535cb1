package importer_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/explain/importer"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
)

// TestComplete compares the whole configuration of each host with its golden file, and loads it.
func TestComplete(t *testing.T) {
	archives, err := filepath.Glob("../doctor/testdata/hosts/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal("no hosts", err)
	}
	for _, archive := range archives {
		name := strings.TrimSuffix(filepath.Base(archive), ".txtar")
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			kerneltree.Unpack(t, root, archive)
			host := tree.At(root)
			made, err := importer.Complete(host, inventory.Read(host))
			if err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata/complete", name+".yaml")
			if *update {
				if err := os.WriteFile(golden, made.YAML, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(made.YAML)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			source := config.Source{Root: root, Draft: map[string][]byte{config.DefaultMain: made.YAML}}
			if _, err := source.Load(); err != nil {
				t.Errorf("the configuration is refused: %v", err)
			}
		})
	}
}

// TestCompleteLeavesOut has no key that the kernel of the host does not have, and no floor in a container.
func TestCompleteLeavesOut(t *testing.T) {
	root := kerneltree.New(t)
	kerneltree.Put(t, root, "/etc/sysctl.d/50-x.conf", "net.netfilter.nf_conntrack_acct = 1\n")
	kerneltree.Put(t, root, "/etc/modprobe.d/x.conf", "options nf_conntrack nf_conntrack_helper=1\n")
	complete := func() string {
		host := tree.At(root)
		made, err := importer.Complete(host, inventory.Read(host))
		if err != nil {
			t.Fatal(err)
		}
		return string(made.YAML)
	}
	if got := complete(); !strings.Contains(got, "# left out: nf_conntrack_helper: 1: this kernel does not have it") ||
		!strings.Contains(got, "\n  acct: 1  #") || !strings.Contains(got, "\n  max: {at_least: auto}  #") {
		t.Errorf("got:\n%s", got)
	}
	kerneltree.Put(t, root, "/.dockerenv", "")
	for _, file := range []string{"/etc/sysctl.d/50-x.conf", "/etc/modprobe.d/x.conf"} {
		kerneltree.Put(t, root, file, "")
	}
	if got := complete(); !strings.Contains(got, "\nsettings: {}\n") || strings.Contains(got, "auto") {
		t.Errorf("in a container:\n%s", got)
	}
}

func TestWriteMain(t *testing.T) {
	for name, test := range map[string]struct {
		before  string
		written bool
	}{
		"no file":       {"", true},
		"comments":      {"# settings:\n\n#  max: 1\n", true},
		"a setting":     {"# x\nsettings: {max: 1}\n", false},
		"other section": {"guard: off\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			root := kerneltree.New(t)
			if test.before != "" {
				kerneltree.Put(t, root, config.DefaultMain, test.before)
			}
			err := importer.Import{YAML: []byte("settings: {max: 2}\n")}.WriteMain(tree.At(root))
			after, _ := os.ReadFile(filepath.Join(root, config.DefaultMain))
			isWritten := string(after) == "settings: {max: 2}\n"
			if isWritten != test.written || (err == nil) != test.written {
				t.Errorf("after %q, error %v", after, err)
			}
		})
	}
	root := kerneltree.New(t)
	kerneltree.Put(t, root, config.DefaultMain, "") // a mask
	if err := (importer.Import{YAML: []byte("guard: off\n")}).WriteMain(tree.At(root)); err == nil {
		t.Error("a mask is replaced")
	}
}

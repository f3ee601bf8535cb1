package kmod

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
	"github.com/ctkeeper/ctkeeper/internal/netns"
)

const moduleDir = "sys/module/nf_conntrack"

func TestObserve(t *testing.T) {
	initstate := func(text string) func(*testing.T, string) {
		return func(t *testing.T, root string) { kerneltree.Put(t, root, moduleDir+"/initstate", text) }
	}
	remove := func(names ...string) func(*testing.T, string) {
		return func(t *testing.T, root string) {
			for _, name := range names {
				if err := os.RemoveAll(filepath.Join(root, name)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	tests := []struct {
		name  string
		alter func(*testing.T, string)
		want  Module
	}{
		{"loaded", initstate("live\n"), Module{State: Loaded}},
		{"coming", initstate("coming\n"), Module{State: Absent, InTransition: true}},
		{"going", initstate("going\n"), Module{State: Absent, InTransition: true}},
		{"an unknown state", initstate("thinking\n"), Module{State: Absent, InTransition: true}},
		{"empty initstate", initstate(""), Module{State: Absent, InTransition: true}},
		{"built in", func(t *testing.T, root string) { kerneltree.BuiltIn(t, root) }, Module{State: BuiltIn}},
		// The intermediate states of mod_sysfs_setup and mod_sysfs_teardown.
		{"empty directory", remove(moduleDir+"/initstate", moduleDir+"/holders", moduleDir+"/parameters"),
			Module{State: Absent, InTransition: true}},
		{"only holders", remove(moduleDir+"/initstate", moduleDir+"/parameters"),
			Module{State: Absent, InTransition: true}},
		{"holders and parameters", remove(moduleDir + "/initstate"), Module{State: Absent, InTransition: true}},
		{"absent", func(t *testing.T, root string) { kerneltree.Unload(t, root) }, Module{State: Absent}},
		{"no sysfs, with the sysctl", remove("sys"), Module{State: BuiltIn}},
		{"no sysfs, without the sysctl", remove("sys", "proc"), Module{State: Absent}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			root := kerneltree.New(t)
			test.alter(t, root)
			got := Observe(tree.At(root), Conntrack)
			if diff := cmp.Diff(test.want, got, cmpopts.IgnoreFields(Module{}, "Instance")); diff != "" {
				t.Errorf("module (-want +got):\n%s", diff)
			}
			inSysfs := got.State != Absent && test.name != "no sysfs, with the sysctl"
			if (got.Instance != 0) != inSysfs {
				t.Errorf("%s with instance %d", got.State, got.Instance)
			}
		})
	}
}

func TestObserveInstances(t *testing.T) {
	root := kerneltree.New(t)
	first := Observe(tree.At(root), Conntrack)
	if again := Observe(tree.At(root), Conntrack); again != first {
		t.Errorf("one load has two instances: %+v, %+v", first, again)
	}
	// The old directory stays, so that the new one cannot get its inode number.
	if err := os.Rename(filepath.Join(root, moduleDir), filepath.Join(root, "old")); err != nil {
		t.Fatal(err)
	}
	kerneltree.Load(t, root)
	if second := Observe(tree.At(root), Conntrack); second.Instance == first.Instance || second.State != Loaded {
		t.Errorf("after a reload %+v, before it %+v", second, first)
	}
}

// A link out of the tree is not followed to the machine that runs the test.
func TestObserveStaysInTheTree(t *testing.T) {
	root, outside := t.TempDir(), kerneltree.New(t)
	link(t, filepath.Join(outside, "sys"), filepath.Join(root, "sys"))
	if got := Observe(tree.At(root), Conntrack); got.State != Absent {
		t.Errorf("through a link out of the tree: %+v", got)
	}
	root = kerneltree.New(t)
	if err := os.Rename(filepath.Join(root, "sys"), filepath.Join(root, "real")); err != nil {
		t.Fatal(err)
	}
	link(t, "/real", filepath.Join(root, "sys"))
	if got := Observe(tree.At(root), Conntrack); got.State != Loaded {
		t.Errorf("through a link within the tree: %+v", got)
	}
}

func TestObserveThisMachine(t *testing.T) {
	if _, err := os.Stat("/sys/module/kernel/parameters"); err != nil {
		netns.Cannot(t, "no sysfs here: %v", err)
	}
	if got := Observe(tree.Tree{}, "kernel").State; got != BuiltIn {
		t.Errorf("module kernel is %s", got)
	}
	if got := Observe(tree.At("/"), "ctkeeper_no_such_module").State; got != Absent {
		t.Errorf("a module that does not exist is %s", got)
	}
}

package kmod

import (
	"errors"
	"io/fs"
	"testing"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
)

func TestParameterValue(t *testing.T) {
	root := kerneltree.New(t)
	kerneltree.Put(t, root, "sys/module/nf_conntrack/parameters/acct", "Y\n")
	kerneltree.Put(t, root, "sys/module/nf_conntrack/parameters/dir/x", "")
	for name, want := range map[string]string{"acct": "Y", "expect_hashsize": "256"} {
		got, err := ParameterValue(tree.At(root), Conntrack, name)
		if err != nil || got != want {
			t.Errorf("%s is %q, %v; want %q", name, got, err, want)
		}
	}
	for name, want := range map[string]string{
		"enable_hooks": "open /sys/module/nf_conntrack/parameters/enable_hooks: no such file or directory",
		"dir":          "read /sys/module/nf_conntrack/parameters/dir: is a directory",
	} {
		if _, err := ParameterValue(tree.At(root), Conntrack, name); err == nil || err.Error() != want {
			t.Errorf("%s: error %v, want %s", name, err, want)
		}
	}
	kerneltree.Unload(t, root)
	if _, err := ParameterValue(tree.At(root), Conntrack, "acct"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without the module: %v", err)
	}
}

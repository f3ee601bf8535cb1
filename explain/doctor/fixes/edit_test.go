package fixes

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/host/change"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/doctortest"
)

func TestEdit(t *testing.T) {
	root := t.TempDir()
	doctortest.Put(t, root, map[string]string{"etc/sysctl.conf": "a\n", "etc/modprobe.d/x.conf": "a\n",
		"usr/lib/sysctl.d/50-x.conf": "a\n", "etc/sysctl.d/.keep": "", "lib/modprobe.d/a.conf": "a\n",
		"usr/local/lib/sysctl.d/a.conf": "a\n", "run/sysctl.d/a.conf": "a\n"})
	for name, target := range map[string]string{
		"etc/sysctl.d/99-sysctl.conf": "../sysctl.conf",
		"etc/sysctl.d/50-own.conf":    "/usr/lib/sysctl.d/50-x.conf",
		"etc/sysctl.d/loop.conf":      "loop.conf",
	} {
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	edit := func(file string) finding.Step { return doctortest.Comment(file, 1, "a") }
	copied := func(from, to string) []finding.Step {
		return []finding.Step{change.Run("install", "-D", "-m", "644", from, to), edit(to)}
	}
	tests := map[string][]finding.Step{
		"/etc/modprobe.d/x.conf":         {edit("/etc/modprobe.d/x.conf")},
		"/etc/modprobe.d/no such.conf":   {change.Block("Edit /etc/modprobe.d/no such.conf:1 by hand.")},
		"/etc/sysctl.d/99-sysctl.conf":   {edit("/etc/sysctl.conf")},
		"/etc/sysctl.d/50-own.conf":      copied("/usr/lib/sysctl.d/50-x.conf", "/etc/sysctl.d/50-own.conf"),
		"/etc/sysctl.d/loop.conf":        {change.Block("Edit /etc/sysctl.d/loop.conf:1 by hand.")},
		"/usr/lib/sysctl.d/50-x.conf":    copied("/usr/lib/sysctl.d/50-x.conf", "/etc/sysctl.d/50-x.conf"),
		"/lib/modprobe.d/a.conf":         copied("/lib/modprobe.d/a.conf", "/etc/modprobe.d/a.conf"),
		"/usr/local/lib/sysctl.d/a.conf": copied("/usr/local/lib/sysctl.d/a.conf", "/etc/sysctl.d/a.conf"),
		"/run/sysctl.d/a.conf":           {edit("/run/sysctl.d/a.conf")},
	}
	h := &picture.Host{}
	for file := range tests {
		h.Env.Overrides = append(h.Env.Overrides, finding.Seen(file, 1, ""))
	}
	h.ReadFiles(tree.At(root))
	for file, want := range tests {
		if diff := cmp.Diff(want, CommentOut(h, tree.Place{File: file, Line: 1})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
	}
}

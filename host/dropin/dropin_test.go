package dropin_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/host/dropin"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

func put(t *testing.T, root, file, text string) {
	t.Helper()
	if err := tree.At(root).Replace(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, root, target, file string) {
	t.Helper()
	path := filepath.Join(root, file)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.Symlink(target, path)); err != nil {
		t.Fatal(err)
	}
}

func TestList(t *testing.T) {
	root := t.TempDir()
	put(t, root, "/etc/sysctl.d/20-b.conf", "x")
	put(t, root, "/usr/lib/sysctl.d/10-a.conf", "x")
	put(t, root, "/usr/lib/sysctl.d/20-b.conf", "x")
	put(t, root, "/usr/lib/sysctl.d/30-c.conf", "x")
	put(t, root, "/usr/lib/sysctl.d/.40-d.conf", "x")
	put(t, root, "/usr/lib/sysctl.d/README", "x")
	link(t, root, "/dev/null", "/run/sysctl.d/30-c.conf")
	link(t, root, "usr/lib", "/lib")

	files, troubles := dropin.List(tree.At(root), dropin.Dirs("sysctl.d"), dropin.HasSuffix(".conf"))
	want := []dropin.File{
		{Path: "/usr/lib/sysctl.d/10-a.conf"},
		{Path: "/etc/sysctl.d/20-b.conf"},
		{Path: "/usr/lib/sysctl.d/20-b.conf", HiddenBy: "/etc/sysctl.d/20-b.conf"},
		{Path: "/run/sysctl.d/30-c.conf", Masked: true},
		{Path: "/usr/lib/sysctl.d/30-c.conf", HiddenBy: "/run/sysctl.d/30-c.conf"},
	}
	if diff := cmp.Diff(want, files); diff != "" || len(troubles) != 0 {
		t.Errorf("files (-want +got):\n%s\ntroubles: %v", diff, troubles)
	}
}

func TestListReportsUnreadableDirectories(t *testing.T) {
	root := t.TempDir()
	put(t, root, "/etc/sysctl.d", "a file")
	put(t, root, "/run/sysctl.d/a.conf", "x")
	files, troubles := dropin.List(tree.At(root), dropin.Dirs("sysctl.d"), dropin.HasSuffix(".conf"))
	if len(files) != 1 || len(troubles) != 1 || troubles[0].File != "/etc/sysctl.d" ||
		!errors.Is(troubles[0], syscall.ENOTDIR) {
		t.Errorf("files %v, troubles %v: want a.conf and ENOTDIR of /etc/sysctl.d", files, troubles)
	}
}

package mountinfo_test

import (
	"strings"
	"testing"

	"github.com/ctkeeper/ctkeeper/host/mountinfo"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

func TestParse(t *testing.T) {
	const text = "21 26 0:20 / /proc rw,nosuid - proc proc rw\n" +
		"odd line\n" +
		`41 31 0:38 /a\040b /c\011d ro shared:1 master:2 - cgroup2 none rw`
	mounts := mountinfo.Parse(text)
	if len(mounts) != 2 {
		t.Fatalf("%d mounts, want 2", len(mounts))
	}
	m := mounts[1]
	if m.Line != 3 || m.Root != "/a b" || m.Mountpoint != "/c\td" || m.FSType != "cgroup2" ||
		!strings.HasSuffix(text, m.Text) {
		t.Errorf("mount %+v of line %d %q", m.Info, m.Line, m.Text)
	}
	if mounts[0].IsReadOnly() || !m.IsReadOnly() {
		t.Errorf("read-only: %t, %t; want false, true", mounts[0].IsReadOnly(), m.IsReadOnly())
	}
}

func TestHolds(t *testing.T) {
	for point, want := range map[string]bool{
		"/": true, "/proc": true, "/proc/sys": true, "/pro": false, "/proc/sys/net": false,
	} {
		mounts := mountinfo.Parse("1 2 0:3 / " + point + " rw - x x rw")
		if got := mounts[0].Holds("/proc/sys"); got != want {
			t.Errorf("a mount at %s holds /proc/sys: %t, want %t", point, got, want)
		}
	}
}

func TestRead(t *testing.T) {
	mounts, err := mountinfo.Read(tree.Tree{})
	if err != nil || len(mounts) == 0 {
		t.Errorf("%d mounts of this process, %v", len(mounts), err)
	}
	if _, err := mountinfo.Read(tree.At(t.TempDir())); err == nil {
		t.Error("no error for a tree without the file")
	}
}

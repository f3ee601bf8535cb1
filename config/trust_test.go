package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/internal/netns"
)

const foreigner = 1234 // a user

// own makes a path below root another user's, with a mode.
func own(t *testing.T, root, path string, user int, mode os.FileMode) {
	t.Helper()
	path = filepath.Join(root, path)
	if err := errors.Join(os.Lchown(path, user, user), os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
}

const dropinDir, dropinFile = "/run/ctkeeper/conf.d", "/run/ctkeeper/conf.d/a.yaml"

// trustTests are trees in which somebody other than root can, or cannot, change what root would read.
var trustTests = map[string]struct {
	change func(t *testing.T, root string)
	path   string // of the refused file or directory, empty for none
	mode   string
}{
	"root's": {func(*testing.T, string) {}, "", ""},
	"file":   {func(t *testing.T, root string) { own(t, root, dropinFile, foreigner, 0o644) }, dropinFile, "0644"},
	"directory": {
		func(t *testing.T, root string) { own(t, root, dropinDir, foreigner, 0o755) }, dropinDir, "0755",
	},
	"directory above": {
		func(t *testing.T, root string) { own(t, root, "/run/ctkeeper", foreigner, 0o755) }, "/run/ctkeeper", "0755",
	},
	"the service's directory": {
		func(t *testing.T, root string) {
			own(t, root, "/run/ctkeeper", 0, 0o775|os.ModeSticky)
			own(t, root, "/run/ctkeeper/s", foreigner, 0o660)
		}, "", "",
	},
	"a directory that the service's user made": {
		func(t *testing.T, root string) {
			own(t, root, "/run/ctkeeper", 0, 0o775|os.ModeSticky)
			own(t, root, dropinDir, foreigner, 0o755)
		}, dropinDir, "0755",
	},
	"a link that another user made": {
		func(t *testing.T, root string) {
			put(t, root, dropinDir+"/b.yaml", "-> ../../../usr/b.yaml")
			own(t, root, dropinDir, 0, 0o777|os.ModeSticky)
			if err := os.Lchown(filepath.Join(root, dropinDir, "b.yaml"), foreigner, 0); err != nil {
				t.Fatal(err)
			}
		}, dropinDir + "/b.yaml", "0777",
	},
	"a link into another user's directory": {
		func(t *testing.T, root string) {
			put(t, root, dropinDir+"/b.yaml", "-> /home/b.yaml")
			put(t, root, "/home/b.yaml", "settings: {acct: 1}")
			own(t, root, "/home", foreigner, 0o700)
		}, "/home", "0700",
	},
}

// TestRootOnly loads them with and without RootOnly.
func TestRootOnly(t *testing.T) {
	netns.RequireRoot(t)
	const theirs = " is of user 1234 and has mode %s: somebody other than root can change it " +
		"(chown root PATH; chmod go-w PATH)"
	for name, test := range trustTests {
		t.Run(name, func(t *testing.T) {
			root := host(t, map[string]string{
				DefaultMain: "settings: {}", dropinFile: "settings: {max: 1}",
				"/run/ctkeeper/s": "", "/usr/b.yaml": "settings: {acct: 1}",
			})
			test.change(t, root)
			if _, err := (Source{Root: root}).Load(); err != nil {
				t.Errorf("without RootOnly: %v", err)
			}
			_, err := Source{Root: root, RootOnly: true}.Load()
			if test.path == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			if !errors.Is(err, ErrUntrusted) {
				t.Fatalf("not refused: %v", err)
			}
			want := strings.ReplaceAll(root+test.path+fmt.Sprintf(theirs, test.mode), "PATH", root+test.path)
			if _, got, _ := strings.Cut(err.Error(), ": "); got != want {
				t.Errorf("the error is\n%s, want\n%s", got, want)
			}
		})
	}
}

// TestWritableByOthers has modes of root's own files.
func TestWritableByOthers(t *testing.T) {
	for mode, want := range map[uint32]bool{
		unix.S_IFREG | 0o644: true, unix.S_IFREG | 0o664: false, unix.S_IFREG | 0o646: false,
		unix.S_IFREG | 0o1666: false, // the sticky bit of a file means nothing
		unix.S_IFDIR | 0o755:  true, unix.S_IFDIR | 0o777: false, unix.S_IFDIR | 0o1777: true,
	} {
		if got := isTrusted(&unix.Stat_t{Mode: mode}); got != want {
			t.Errorf("mode %o is trusted: %t, want %t", mode, got, want)
		}
	}
}

// TestReadOnlyMount has a ConfigMap as the kubelet mounts it: mode 0777, read-only.
func TestReadOnlyMount(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	root := host(t, map[string]string{
		etcDir + "..1/a.yaml": "settings: {max: 1}", etcDir + "..data": "-> ..1", etcDir + "a.yaml": "-> ..data/a.yaml",
	})
	source := Source{Root: root, RootOnly: true}
	own(t, root, etcDir, 0, 0o777)
	own(t, root, etcDir+"..1", foreigner, 0o777)
	if _, err := source.Load(); !errors.Is(err, ErrUntrusted) {
		t.Errorf("before it is mounted read-only: %v", err)
	}
	dir := filepath.Join(root, etcDir)
	if err := errors.Join(
		unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), unix.Mount(dir, dir, "", unix.MS_BIND, ""),
		unix.Mount("none", dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""),
	); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, 0) })
	if _, err := source.Load(); err != nil {
		t.Errorf("on a read-only mount: %v", err)
	}
}

package guard

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/internal/netns"
)

// newTree creates a cgroup that is the test's tree, and returns its directory.
func newTree(t testing.TB) string {
	t.Helper()
	netns.RequireRoot(t)
	mount, err := findCgroup2()
	if err != nil {
		netns.Cannot(t, "%v", err)
	}
	dir, err := os.MkdirTemp(mount, "ctkeeper-tree-")
	if err != nil {
		netns.Cannot(t, "cannot make a cgroup: %v", err)
	}
	t.Cleanup(func() { removeTree(t, dir) })
	return dir
}

// removeTree removes a cgroup and all cgroups below it. os.RemoveAll fails, because a cgroup's files cannot be removed.
func removeTree(t testing.TB, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Error(err)
	}
	for _, entry := range entries {
		if entry.IsDir() {
			removeTree(t, filepath.Join(dir, entry.Name()))
		}
	}
	if err := os.Remove(dir); err != nil {
		t.Error(err)
	}
}

func openTree(t testing.TB, tree string, allow ...string) *cgroups {
	t.Helper()
	c, err := openCgroups(tree, allow)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.close(); err != nil && !errors.Is(err, os.ErrClosed) {
			t.Error(err)
		}
	})
	return c
}

// runTree runs c until the end of the test.
func runTree(t testing.TB, c *cgroups, changed func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var (
		task sync.WaitGroup
		err  error
	)
	task.Go(func() { err = c.run(ctx, changed) })
	t.Cleanup(func() {
		cancel()
		task.Wait()
		if !errors.Is(err, context.Canceled) {
			t.Errorf("run: %v", err)
		}
	})
}

// noWalks forbids walks: paths that are known then come from inotify.
func noWalks(c *cgroups) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nextWalk = time.Now().Add(time.Hour)
}

func mkdir(t testing.TB, dir ...string) uint64 {
	t.Helper()
	path := filepath.Join(dir...)
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
	return inode(t, path)
}

func rmdir(t testing.TB, dir ...string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir...)); err != nil {
		t.Fatal(err)
	}
}

func inode(t testing.TB, path string) uint64 {
	t.Helper()
	var stat syscall.Stat_t
	if err := syscall.Stat(path, &stat); err != nil {
		t.Fatal(err)
	}
	return stat.Ino
}

func wantPath(t testing.TB, c *cgroups, id uint64, want string) {
	t.Helper()
	if got := c.path(id); got != want {
		t.Errorf("path of %d: %q, want %q", id, got, want)
	}
}

// watches counts the inotify watches in the kernel (proc_pid_fdinfo(5)).
func watches(t testing.TB, c *cgroups) int {
	t.Helper()
	var text []byte
	err := c.conn.Control(func(fd uintptr) {
		var err error
		if text, err = os.ReadFile("/proc/self/fdinfo/" + strconv.Itoa(int(fd))); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(text), "inotify wd:")
}

func TestCgroupsOfThisHost(t *testing.T) {
	mount := filepath.Dir(newTree(t))
	c := openTree(t, mount)
	wantPath(t, c, inode(t, mount), "/")
	if id := inode(t, mount); id != rootCgroup {
		t.Logf("the root here is %d: this is a cgroup namespace", id)
	}
	wantPath(t, c, math.MaxUint64, "")
}

func TestCgroupsFollowInotify(t *testing.T) {
	for name, running := range map[string]bool{"run is running": true, "run is not running": false} {
		t.Run(name, func(t *testing.T) {
			tree := newTree(t)
			before := mkdir(t, tree, "system.slice", "old.service")
			c := openTree(t, tree)
			if running {
				runTree(t, c, func() {})
			}
			noWalks(c)
			wantPath(t, c, before, "/system.slice/old.service")
			for i := range 20 {
				path := fmt.Sprintf("/system.slice/run-u%d.service", i)
				id := mkdir(t, tree, path)
				wantPath(t, c, id, path)
				rmdir(t, tree, path)
				wantPath(t, c, id, path)
			}
			deep := mkdir(t, tree, "a/b/c/d/e")
			wantPath(t, c, deep, "/a/b/c/d/e")
			wantPath(t, c, inode(t, filepath.Join(tree, "a/b/c")), "/a/b/c")
			below := mkdir(t, tree, "a/b/c/d/e/f")
			wantPath(t, c, below, "/a/b/c/d/e/f")
		})
	}
}

// TestShortLivedCgroups: a unit that exists for 2 ms is known. inotify reports no ids, so a directory that is removed
// before it is read has no path. The machine may be busy, so one of 100 units is enough.
func TestShortLivedCgroups(t *testing.T) {
	tree := newTree(t)
	c := openTree(t, tree)
	runTree(t, c, func() {})
	noWalks(c)
	for i := range 100 {
		path := fmt.Sprintf("/run-u%d.service", i)
		id := mkdir(t, tree, path)
		time.Sleep(2 * time.Millisecond)
		rmdir(t, tree, path)
		if c.path(id) == path {
			return
		}
	}
	t.Error("none of 100 units that existed for 2 ms is known")
}

// TestCgroupsRemoveWatches: kernfs ends no watch of a removed directory, so the daemon has to.
func TestCgroupsRemoveWatches(t *testing.T) {
	tree := newTree(t)
	c := openTree(t, tree)
	for range 50 {
		id := mkdir(t, tree, "a.slice/a-b.slice/c.service")
		wantPath(t, c, id, "/a.slice/a-b.slice/c.service")
		if n := watches(t, c); n != 4 || len(c.watched) != 4 {
			t.Fatalf("%d watches, and %d known, of 4 directories", n, len(c.watched))
		}
		rmdir(t, tree, "a.slice/a-b.slice/c.service")
		rmdir(t, tree, "a.slice/a-b.slice")
		rmdir(t, tree, "a.slice")
		wantPath(t, c, math.MaxUint64, "")
		if n := watches(t, c); n != 1 || len(c.watched) != 1 {
			t.Fatalf("%d watches, and %d known, of one directory", n, len(c.watched))
		}
	}
}

func TestCgroupsAllow(t *testing.T) {
	tree := newTree(t)
	old := mkdir(t, tree, "system.slice/kube-proxy.service")
	c := openTree(t, tree, "kube-proxy.service", "trusted.slice", "cgroup.service")
	var calls atomic.Int64
	runTree(t, c, func() { calls.Add(1) })
	seen := int64(0)
	wantAllowed := func(what string, ids ...uint64) {
		t.Helper()
		eventually(t, what, func() bool { return calls.Load() > seen && cmp.Equal(c.allowed(), ids) })
		seen = calls.Load()
	}
	wantAllowed("the unit that exists at the start", old)
	below := mkdir(t, tree, "system.slice/kube-proxy.service/payload")
	wantAllowed("a cgroup below the unit", old, below)
	escaped := mkdir(t, tree, "system.slice/_cgroup.service")
	wantAllowed("an escaped name", old, below, escaped)
	slice := mkdir(t, tree, "trusted.slice")
	wantAllowed("a slice", old, below, escaped, slice)
	deep := mkdir(t, tree, "trusted.slice/trusted-more.slice/x.service")
	inner := inode(t, filepath.Join(tree, "trusted.slice/trusted-more.slice"))
	wantAllowed("a unit deep in a slice", old, below, escaped, slice, inner, deep)
	rmdir(t, tree, "system.slice/kube-proxy.service/payload")
	rmdir(t, tree, "system.slice/kube-proxy.service")
	wantAllowed("without the removed unit", escaped, slice, inner, deep)

	// The last two have the name of an allowed unit, but in a unit and a container.
	for _, other := range []string{
		"system.slice/kube-proxy.service.d", "system.slice/docker.service/kube-proxy.service",
		"lxc.payload.x/trusted.slice",
	} {
		mkdir(t, tree, other)
	}
	slice2 := mkdir(t, tree, "trusted.slice/y.service")
	wantAllowed("no others", escaped, slice, inner, deep, slice2)
}

// TestCgroupsAllowFoundByPath: if path finds an allowed cgroup by a walk, run calls changed.
func TestCgroupsAllowFoundByPath(t *testing.T) {
	tree := newTree(t)
	c := openTree(t, tree, "a.service")
	c.live["/"].watch = c.live["/"].watch + 1000 // events then belong to no known watch
	c.watched = map[int32]*cgroup{}
	var calls atomic.Int64
	runTree(t, c, func() { calls.Add(1) })
	eventually(t, "the call at the start", func() bool { return calls.Load() == 1 })
	id := mkdir(t, tree, "a.service")
	eventually(t, "a path by reading the tree", func() bool { return c.path(id) == "/a.service" })
	eventually(t, "a call", func() bool { return calls.Load() == 2 })
	if diff := cmp.Diff([]uint64{id}, c.allowed()); diff != "" {
		t.Errorf("allowed (-want +got):\n%s", diff)
	}
}

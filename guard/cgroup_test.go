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

// newTree makes a cgroup for the test, of which it is the whole tree, and gives its directory.
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

// removeTree removes a cgroup with all below it: its files cannot be removed, so that
// os.RemoveAll does not do.
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

// runTree has a tree followed until the end of the test.
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

// noWalks forbids to read the tree anew: what is known then was heard of.
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

// watches counts what the kernel holds for a tree (proc_pid_fdinfo(5)).
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

func TestCgroupsHear(t *testing.T) {
	for name, running := range map[string]bool{"run at work": true, "run not yet": false} {
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

// inotify tells no ids: a directory that is gone before it was looked at has no name. Units
// live for some milliseconds at least, but no single one can be counted on here: the
// machine may be busy.
func TestCgroupsOfAMoment(t *testing.T) {
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
	t.Error("of 100 units that lived for 2 ms none was heard of")
}

// kernfs ends no watch of a directory that is gone: they would pile up.
func TestCgroupsLetWatchesGo(t *testing.T) {
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
	told := int64(0)
	wantAllowed := func(what string, ids ...uint64) {
		t.Helper()
		eventually(t, what, func() bool { return calls.Load() > told && cmp.Equal(c.allowed(), ids) })
		told = calls.Load()
	}
	wantAllowed("what was there at the start", old)
	below := mkdir(t, tree, "system.slice/kube-proxy.service/payload")
	wantAllowed("what is below", old, below)
	escaped := mkdir(t, tree, "system.slice/_cgroup.service")
	wantAllowed("an escaped name", old, below, escaped)
	slice := mkdir(t, tree, "trusted.slice")
	wantAllowed("a slice", old, below, escaped, slice)
	deep := mkdir(t, tree, "trusted.slice/trusted-more.slice/x.service")
	wantAllowed("what is deep in a slice", old, below, escaped, slice, inode(t, filepath.Join(tree, "trusted.slice/trusted-more.slice")), deep)
	rmdir(t, tree, "system.slice/kube-proxy.service/payload")
	rmdir(t, tree, "system.slice/kube-proxy.service")
	wantAllowed("without what has gone", escaped, slice, inode(t, filepath.Join(tree, "trusted.slice/trusted-more.slice")), deep)

	// others, of which the last two only have an allowed unit's name
	for _, other := range []string{"system.slice/kube-proxy.service.d", "system.slice/docker.service/kube-proxy.service", "lxc.payload.x/trusted.slice"} {
		mkdir(t, tree, other)
	}
	slice2 := mkdir(t, tree, "trusted.slice/y.service")
	wantAllowed("no others", escaped, slice, inode(t, filepath.Join(tree, "trusted.slice/trusted-more.slice")), deep, slice2)
}

// What a miss finds in place of run is told of by run.
func TestCgroupsAllowedFoundByMiss(t *testing.T) {
	tree := newTree(t)
	c := openTree(t, tree, "a.service")
	c.live["/"].watch = c.live["/"].watch + 1000 // deaf: what happens belongs to no watch that is known
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

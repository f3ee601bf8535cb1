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
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// flood overflows the inotify queue of a tree while nothing reads it.
func flood(t *testing.T, tree string) {
	t.Helper()
	text, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events")
	if err != nil {
		t.Fatal(err)
	}
	queue, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || queue > 1<<16 {
		t.Skipf("a queue of %d events takes too long to fill: %v", queue, err)
	}
	dir := filepath.Join(tree, "flood")
	for range queue/2 + 1 { // two events each
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCgroupsAfterOverflow(t *testing.T) {
	tree := newTree(t)
	c := openTree(t, tree, "kept.service", "lost.service")
	kept := mkdir(t, tree, "kept.service")
	wantPath(t, c, kept, "/kept.service")
	flood(t, tree)
	rmdir(t, tree, "kept.service")
	lost := mkdir(t, tree, "lost.service/below")
	parent := inode(t, filepath.Join(tree, "lost.service"))

	c.nextWalk = time.Now().Add(300 * time.Millisecond) // run has to wait until then
	runTree(t, c, func() {})
	eventually(t, "the current tree", func() bool { return cmp.Equal(c.allowed(), []uint64{parent, lost}) })
	noWalks(c)
	wantPath(t, c, kept, "/kept.service")
	wantPath(t, c, lost, "/lost.service/below")
	next := mkdir(t, tree, "lost.service/below/next")
	wantPath(t, c, next, "/lost.service/below/next")
	if n := watches(t, c); n != 4 {
		t.Errorf("%d watches of 4 directories", n)
	}
}

func TestCgroupsLimitWalks(t *testing.T) {
	c := openTree(t, t.TempDir())
	c.nextWalk = time.Time{}
	wantPath(t, c, math.MaxUint64, "")
	if c.nextWalk.IsZero() {
		t.Fatal("an unknown id caused no walk")
	}
	noWalks(c)
	rest := c.nextWalk
	for id := range uint64(1000) {
		wantPath(t, c, math.MaxUint64-id, "")
	}
	if c.nextWalk != rest {
		t.Error("the tree was walked too early")
	}
}

// TestCgroupsWithoutWatches: without inotify watches, walks find the cgroups.
func TestCgroupsWithoutWatches(t *testing.T) {
	tree := t.TempDir()
	c := openTree(t, tree)
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	id := mkdir(t, tree, "a.service")
	eventually(t, "a path", func() bool { return c.path(id) == "/a.service" })
	if err := c.run(t.Context(), func() {}); err == nil {
		t.Error("run after close has no error")
	}
}

func TestCgroupsBounds(t *testing.T) {
	t.Run("depth", func(t *testing.T) {
		tree := t.TempDir()
		id := mkdir(t, tree, strings.Repeat("d/", maxDepth))
		deeper := mkdir(t, tree, strings.Repeat("d/", maxDepth+1))
		c := openTree(t, tree)
		wantPath(t, c, id, strings.Repeat("/d", maxDepth))
		wantPath(t, c, deeper, "")
		more := mkdir(t, tree, strings.Repeat("d/", maxDepth), "e")
		wantPath(t, c, more, "")
	})
	t.Run("length", func(t *testing.T) {
		tree, part := t.TempDir(), strings.Repeat("p", maxPath/4-1)
		long := "/" + strings.Join([]string{part, part, part, part}, "/")
		id, longer := mkdir(t, tree, long), mkdir(t, tree, long, "x")
		c := openTree(t, tree)
		wantPath(t, c, id, long)
		wantPath(t, c, longer, "")
	})
	t.Run("number", func(t *testing.T) {
		tree := t.TempDir()
		c := openTree(t, tree)
		for i := range maxCgroups - 1 {
			path := fmt.Sprintf("/%d", i)
			c.live[path] = &cgroup{id: 1<<40 + uint64(i), path: path}
		}
		noWalks(c)
		id := mkdir(t, tree, "one.service")
		wantPath(t, c, id, "")
		c.nextWalk = time.Time{}
		wantPath(t, c, id, "/one.service") // the walk removes the others, which do not exist
	})
	t.Run("watches", func(t *testing.T) {
		tree := t.TempDir()
		c := openTree(t, tree)
		for i := range int32(maxWatches - 1) {
			c.watched[1<<20+i] = &cgroup{}
		}
		noWalks(c)
		id, below := mkdir(t, tree, "a.slice"), mkdir(t, tree, "a.slice/b.service")
		wantPath(t, c, id, "/a.slice")
		if n := watches(t, c); n != 1 {
			t.Errorf("%d watches", n)
		}
		c.nextWalk = time.Time{}
		wantPath(t, c, below, "/a.slice/b.service")
	})
	t.Run("memory", func(t *testing.T) {
		c := openTree(t, t.TempDir())
		first := &cgroup{id: 1 << 40, path: "/0"}
		for i := range uint64(maxGone + 10) {
			g := &cgroup{id: first.id + i, path: fmt.Sprintf("/%d", i)}
			c.names[g.id] = g.path
			c.remove(g)
		}
		noWalks(c)
		wantPath(t, c, first.id+9, "")
		wantPath(t, c, first.id+10, "/10")
		wantPath(t, c, inode(t, c.mount), "/")
		if len(c.gone) != maxGone || len(c.names) != maxGone+1 {
			t.Errorf("%d gone, %d names", len(c.gone), len(c.names))
		}
	})
}

func TestRunEnds(t *testing.T) {
	c := openTree(t, t.TempDir())
	for range 3 { // run can be called again
		ctx, cancel := context.WithCancel(t.Context())
		var task sync.WaitGroup
		started := make(chan struct{})
		task.Go(func() {
			if err := c.run(ctx, func() { close(started) }); !errors.Is(err, context.Canceled) {
				t.Errorf("run: %v", err)
			}
		})
		<-started
		cancel()
		task.Wait()
	}
	var task sync.WaitGroup
	started := make(chan struct{})
	task.Go(func() {
		if err := c.run(t.Context(), func() { close(started) }); err == nil {
			t.Error("run returned no error after close")
		}
	})
	<-started
	if err := c.close(); err != nil {
		t.Error(err)
	}
	task.Wait()
}

func TestNoTree(t *testing.T) {
	if c, err := openCgroups(filepath.Join(t.TempDir(), "none"), nil); c != nil || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v, %v", c, err)
	}
}

// TestCgroupsConcurrently uses all methods at once, for the race detector, and checks the state at the end.
func TestCgroupsConcurrently(t *testing.T) {
	tree := newTree(t)
	c := openTree(t, tree, "w0.service", "w1.service")
	runTree(t, c, func() { c.allowed() })
	var tasks sync.WaitGroup
	for m := range 2 {
		tasks.Go(func() {
			for i := range 50 {
				path := fmt.Sprintf("w%d.service/x/%d", m, i)
				dir := filepath.Join(tree, path)
				if err := os.MkdirAll(dir, 0o755); err != nil {
					t.Error(err)
					return
				}
				c.path(uint64(i))
				if i%2 == 0 {
					if err := os.Remove(dir); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	tasks.Wait()
	eventually(t, "all allowed cgroups", func() bool { return len(c.allowed()) == 2*(2+25) })
	if n := watches(t, c); n != 1+2*(2+25) {
		t.Errorf("%d watches", n)
	}
}

func benchmarkTree(b *testing.B) (string, uint64) {
	tree := newTree(b)
	var id uint64
	for i := range 1000 {
		id = mkdir(b, tree, fmt.Sprintf("%d.slice/%d.service", i/50, i))
	}
	return tree, id
}

func BenchmarkWalk1000(b *testing.B) {
	tree, _ := benchmarkTree(b)
	c := openTree(b, tree)
	for b.Loop() {
		c.walk()
	}
}

func BenchmarkOpen1000(b *testing.B) {
	tree, _ := benchmarkTree(b)
	for b.Loop() {
		c, err := openCgroups(tree, nil)
		if err != nil {
			b.Fatal(err)
		}
		if err := c.close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPath(b *testing.B) {
	tree, id := benchmarkTree(b)
	c := openTree(b, tree)
	for b.Loop() {
		if c.path(id) == "" {
			b.Fatal("unknown id")
		}
	}
}

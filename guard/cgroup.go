package guard

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNoCgroup2 says that the host has no cgroup v2 tree to attach to.
var ErrNoCgroup2 = errors.New("no cgroup v2 tree is mounted")

// rootCgroup is the id of the root of the tree, on every kernel (cgroup_init; kernfs gives
// its root inode 1).
const rootCgroup = 1

// Bounds: whoever may make cgroups, be it in a delegated subtree alone, must not make the
// daemon grow without end.
const (
	maxCgroups    = 16384 // that exist
	maxGone       = 4096  // that are remembered
	maxWatches    = 8192
	maxDepth      = 32
	maxPath       = 1024 // bytes
	maxReads      = 16   // of the queue, before others have their turn
	inotifyBuffer = 16 << 10

	// walkShare is how many times as long as a walk took there is none after it.
	walkShare = 10

	// watchMask asks for nothing that happens in an idle system. fsnotify would ask for
	// IN_MODIFY and IN_ATTRIB as well, and the kernel modifies cgroup.events and memory.events
	// of busy cgroups all the time. IN_DELETE is needed because kernfs tells nobody that a
	// watched directory is gone (no IN_DELETE_SELF, no IN_IGNORED): without it the watches of
	// dead cgroups would pile up until the user's limit.
	watchMask = unix.IN_CREATE | unix.IN_DELETE | unix.IN_ONLYDIR | unix.IN_EXCL_UNLINK
)

// cgroups knows the path of each cgroup by its id: the inode number of its directory, which
// is what bpf_get_current_cgroup_id gives (64-bit kernels since 5.5). It hears of cgroups as
// they come and go (inotify(7)) and remembers those that are gone, so that a unit which lived
// for a moment still has its name. inotify tells no id: a cgroup that is gone before its
// directory could be looked at has none.
//
// All its methods may be called from several goroutines.
type cgroups struct {
	mount string
	allow []string
	file  *os.File // the inotify descriptor; non-blocking, so that Close and deadlines end a read
	conn  syscall.RawConn

	mu       sync.Mutex
	live     map[string]*cgroup // by path
	watched  map[int32]*cgroup  // by watch descriptor
	names    map[uint64]string  // paths by id, of the live and of the newest that are gone
	gone     []uint64           // oldest first
	changed  bool               // the allowed set is not what run last told of
	stale    bool               // the queue overran: the tree has to be walked
	nextWalk time.Time          // no walk before
	buf      []byte
}

// cgroup is a directory of the tree.
type cgroup struct {
	id      uint64
	path    string
	watch   int32 // the watch descriptor; 0 is none
	allowed bool
}

// openCgroups begins to watch the tree at a mount point. allow names units whose writes are
// let through (see allowed).
func openCgroups(mount string, allow []string) (*cgroups, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("cannot watch cgroups: %w", err)
	}
	c := &cgroups{
		mount: mount, allow: allow, file: os.NewFile(uintptr(fd), "inotify"),
		watched: map[int32]*cgroup{}, names: map[uint64]string{}, buf: make([]byte, inotifyBuffer),
	}
	if c.conn, err = c.file.SyscallConn(); err == nil {
		_, err = c.idOf("/")
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot watch cgroups: %w", err), c.file.Close())
	}
	c.walk()
	return c, nil
}

// run follows the tree until ctx ends or the watch fails. changed is called when the set of
// allowed ids has changed, and once at the start.
func (c *cgroups) run(ctx context.Context, changed func()) error {
	defer context.AfterFunc(ctx, c.wake)()
	for first := true; ; first = false {
		// The deadline before all else: who calls wake has ended ctx or set changed before, so
		// that either is seen here or the read ends at once.
		if err := c.setDeadline(); err != nil {
			return fmt.Errorf("cannot watch cgroups: %w", err)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if c.refresh() || first {
			changed()
		}
		if err := c.wait(); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("cannot watch cgroups: %w", err)
		}
	}
}

// wake has run look around.
func (c *cgroups) wake() { _ = c.file.SetReadDeadline(time.Unix(1, 0)) }

// arm lets the next read wait until something happens, or the tree has to be walked.
func (c *cgroups) setDeadline() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var due time.Time // never
	if c.stale {
		due = c.nextWalk
	}
	return c.file.SetReadDeadline(due)
}

// settle walks the tree where that is due, and reports whether the allowed set has changed
// since it was last asked.
func (c *cgroups) refresh() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stale && c.mayWalk() {
		c.walk()
	}
	changed := c.changed
	c.changed = false
	return changed
}

// wait takes in what happened, once something has.
func (c *cgroups) wait() error {
	var failed error
	err := c.conn.Read(func(fd uintptr) (done bool) {
		c.mu.Lock()
		defer c.mu.Unlock()
		done, failed = c.drain(int(fd))
		return done || failed != nil
	})
	return errors.Join(err, failed)
}

// drain takes in what stands in the queue, and reports whether there was anything.
func (c *cgroups) drain(fd int) (some bool, err error) {
	for range maxReads {
		n, err := unix.Read(fd, c.buf)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return some, nil
		case err != nil:
			return some, err
		default:
			eachEvent(c.buf[:n], c.handleEvent)
			some = true
		}
	}
	return some, nil
}

// heard takes in one event. What it says is not believed but looked at: the directory may
// have gone, or gone and come again, since.
func (c *cgroups) handleEvent(watch int32, mask uint32, name string) {
	parent := c.watched[watch]
	switch {
	case mask&unix.IN_Q_OVERFLOW != 0:
		c.stale = true
	case parent == nil:
	case mask&unix.IN_IGNORED != 0:
		delete(c.watched, watch)
		parent.watch = 0
	case mask&unix.IN_ISDIR != 0:
		path := filepath.Join(parent.path, name)
		id, err := c.idOf(path)
		switch old := c.live[path]; {
		case err != nil && old != nil:
			delete(c.live, path)
			c.remove(old)
		case err == nil && (old == nil || old.id != id):
			_ = c.addTree(path, c.live)
		}
	}
}

// path gives the path of a cgroup below the tree's root: "/system.slice/sshd.service". An id
// that is not known has the tree read anew, bounded; "" is one that is in no tree we see.
func (c *cgroups) path(id uint64) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if path, known := c.names[id]; known {
		return path
	}
	// The cgroup may be in the queue, and run on its way there.
	_ = c.conn.Control(func(fd uintptr) { _, _ = c.drain(int(fd)) })
	if _, known := c.names[id]; !known && c.mayWalk() {
		c.walk()
	}
	if c.changed || c.stale {
		c.wake()
	}
	return c.names[id]
}

// allowed gives the ids of the cgroups of the allowed units, with all that is below them,
// sorted. A unit or slice is allowed by its name as the host's systemd has it: one of the same
// name inside a container or below a user's own manager is another.
func (c *cgroups) allowed() []uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	var ids []uint64
	for _, g := range c.live {
		if g.allowed {
			ids = append(ids, g.id)
		}
	}
	slices.Sort(ids)
	return ids
}

// close ends the watch.
func (c *cgroups) close() error { return c.file.Close() }

// rested reports whether the tree may be walked again: walks take a tenth of the time at most,
// whatever unknown ids and overruns there are.
func (c *cgroups) mayWalk() bool { return !time.Now().Before(c.nextWalk) }

// walk reads the whole tree. Where a directory cannot be read, what was known stays.
func (c *cgroups) walk() {
	start, old := time.Now(), c.live
	c.live, c.stale = make(map[string]*cgroup, len(old)), false
	err := c.addTree("/", old)
	for path, g := range old {
		switch {
		case c.live[path] == g:
		case c.live[path] == nil && err != nil:
			c.live[path] = g
		default:
			c.remove(g)
		}
	}
	c.nextWalk = time.Now().Add(walkShare * time.Since(start))
}

// descend takes in the directory top and all below it, the upper ones first: there the units are,
// should a bound be reached. old are those that were known. The error says that some could
// not be read, other than for being gone.
func (c *cgroups) addTree(top string, old map[string]*cgroup) error {
	var errs []error
	for queue := []string{top}; len(queue) > 0; queue = queue[1:] {
		path := queue[0]
		if len(c.live) >= maxCgroups || len(path) > maxPath || strings.Count(path, "/") > maxDepth {
			continue
		}
		children, err := c.addDirectory(path, old[path])
		if err != nil && !gone(err) {
			errs = append(errs, err)
		}
		queue = append(queue, children...)
	}
	return errors.Join(errs...)
}

// enter takes in one directory, as the one that was known or another, and gives the paths of
// those in it. It is watched before it is read: a child that is made in between is found twice,
// and not missed.
func (c *cgroups) addDirectory(path string, known *cgroup) ([]string, error) {
	id, err := c.idOf(path)
	if err != nil {
		return nil, err
	}
	g := known
	if g == nil || g.id != id {
		g = &cgroup{id: id, path: path, allowed: slices.ContainsFunc(units(path), c.allows)}
		c.names[id] = path
		c.changed = c.changed || g.allowed
	}
	if was := c.live[path]; was != nil && was != g {
		c.remove(was)
	}
	c.live[path] = g
	c.watch(g)
	entries, err := os.ReadDir(filepath.Join(c.mount, path))
	var children []string
	for _, entry := range entries {
		if entry.IsDir() {
			children = append(children, filepath.Join(path, entry.Name()))
		}
	}
	return children, err
}

// watch watches a cgroup's directory, where that can be had. ENOSPC, the user's limit, is no
// harm: what is not heard of is found by a walk.
func (c *cgroups) watch(g *cgroup) {
	if g.watch != 0 || len(c.watched) >= maxWatches {
		return
	}
	_ = c.conn.Control(func(fd uintptr) {
		watch, err := unix.InotifyAddWatch(int(fd), filepath.Join(c.mount, g.path), watchMask)
		if err == nil {
			g.watch = int32(watch)
			c.watched[g.watch] = g
		}
	})
}

// forget ends the watch of a cgroup that is gone, and keeps its name for a while. Its id is
// never used again.
func (c *cgroups) remove(g *cgroup) {
	if g.watch != 0 {
		delete(c.watched, g.watch)
		_ = c.conn.Control(func(fd uintptr) { _, _ = unix.InotifyRmWatch(int(fd), uint32(g.watch)) })
		g.watch = 0
	}
	c.changed = c.changed || g.allowed
	c.gone = append(c.gone, g.id)
	if len(c.gone) <= maxGone {
		return
	}
	oldest := c.gone[0]
	c.gone = c.gone[1:]
	if alive := c.live[c.names[oldest]]; alive == nil || alive.id != oldest {
		delete(c.names, oldest)
	}
}

func (c *cgroups) allows(unit string) bool { return slices.Contains(c.allow, unit) }

// idOf is the id of a cgroup.
func (c *cgroups) idOf(path string) (uint64, error) {
	var stat unix.Stat_t
	if err := unix.Lstat(filepath.Join(c.mount, path), &stat); err != nil {
		return 0, err
	}
	return stat.Ino, nil
}

// gone reports whether an error says that a directory was removed: ENODEV is what kernfs
// says of one that was opened before.
func gone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV)
}

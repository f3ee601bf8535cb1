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

// ErrNoCgroup2 is returned on a host without a cgroup v2 tree, to which the programs could be attached.
var ErrNoCgroup2 = errors.New("no cgroup v2 tree is mounted")

// rootCgroup is the id of the root cgroup on every kernel (cgroup_init; kernfs numbers its root inode 1).
const rootCgroup = 1

// Bounds on memory: anybody who may create cgroups, if only in a delegated subtree, could otherwise make
// the daemon grow without limit.
const (
	maxCgroups    = 16384 // existing cgroups
	maxGone       = 4096  // removed cgroups whose paths are kept
	maxWatches    = 8192
	maxDepth      = 32
	maxPath       = 1024 // bytes
	maxReads      = 16   // of the inotify queue, before the lock is released
	inotifyBuffer = 16 << 10

	// After a walk that took t, the next one waits at least walkShare × t.
	walkShare = 10

	// watchMask has no event that occurs on an idle system. fsnotify would add IN_MODIFY and IN_ATTRIB,
	// and the kernel modifies cgroup.events and memory.events of busy cgroups all the time. IN_DELETE is
	// needed because kernfs reports no removal of a watched directory itself (no IN_DELETE_SELF, no
	// IN_IGNORED): without it the watches of removed cgroups would accumulate up to the user's limit.
	watchMask = unix.IN_CREATE | unix.IN_DELETE | unix.IN_ONLYDIR | unix.IN_EXCL_UNLINK
)

// cgroups maps the id of each cgroup to its path. The id is the inode number of the cgroup's directory, which
// is what bpf_get_current_cgroup_id returns (64-bit kernels since 5.5). inotify(7) reports cgroups that are
// created and removed. The paths of removed cgroups are kept for a while, so that a unit that existed only
// for a moment still has its name. inotify reports no id: a cgroup that is removed before its directory was
// read stays unknown.
//
// All its methods may be called from several goroutines.
type cgroups struct {
	mount string
	allow []string
	file  *os.File // the inotify descriptor; non-blocking, so that Close and a deadline end a read
	conn  syscall.RawConn

	mu       sync.Mutex
	live     map[string]*cgroup // by path
	watched  map[int32]*cgroup  // by watch descriptor
	names    map[uint64]string  // paths by id, of the existing cgroups and the last removed ones
	gone     []uint64           // removed cgroups, oldest first
	changed  bool               // the allowed set has changed since refresh last returned
	stale    bool               // the inotify queue overflowed: the tree has to be walked
	nextWalk time.Time          // the earliest time of the next walk
	buf      []byte
}

// cgroup is one directory of the tree.
type cgroup struct {
	id      uint64
	path    string
	watch   int32 // the watch descriptor, or 0
	allowed bool
}

// openCgroups starts to watch the cgroup v2 tree at a mount point (inotify_init1(2)) and reads all of it.
// allow names the units whose writes the lock accepts; see allowed.
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

// run follows the tree until ctx ends, and returns ctx's error, or the one of inotify. It calls changed once
// at the start, and whenever the set of allowed ids has changed.
func (c *cgroups) run(ctx context.Context, changed func()) error {
	defer context.AfterFunc(ctx, c.wake)()
	for first := true; ; first = false {
		// The deadline comes first: a caller of wake has ended ctx or set changed before, so either
		// this round sees it or the read ends at once.
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

// wake ends run's current wait.
func (c *cgroups) wake() { _ = c.file.SetReadDeadline(time.Unix(1, 0)) }

// setDeadline lets the next read wait until an event arrives, or until a walk is due.
func (c *cgroups) setDeadline() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var due time.Time // never
	if c.stale {
		due = c.nextWalk
	}
	return c.file.SetReadDeadline(due)
}

// refresh walks the tree if a walk is due. It reports whether the allowed set has changed since the last
// call.
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

// wait blocks until inotify has events, and handles them.
func (c *cgroups) wait() error {
	var failed error
	err := c.conn.Read(func(fd uintptr) (done bool) {
		c.mu.Lock()
		defer c.mu.Unlock()
		done, failed = c.readQueue(int(fd))
		return done || failed != nil
	})
	return errors.Join(err, failed)
}

// readQueue handles the events in the inotify queue, and reports whether there were any.
func (c *cgroups) readQueue(fd int) (some bool, err error) {
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

// handleEvent handles one event. It reads the directory instead of trusting the event, since the directory
// may have been removed, or removed and created again, in the meantime.
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

// path returns the path of a cgroup below the tree's root ("/system.slice/sshd.service"). For an unknown id
// it reads the queue, and then walks the tree at the rate that walkShare allows. It returns "" for a cgroup
// outside of the visible tree.
func (c *cgroups) path(id uint64) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if path, known := c.names[id]; known {
		return path
	}
	// The cgroup's event may be in the queue, before run has read it.
	_ = c.conn.Control(func(fd uintptr) { _, _ = c.readQueue(int(fd)) })
	if _, known := c.names[id]; !known && c.mayWalk() {
		c.walk()
	}
	if c.changed || c.stale {
		c.wake()
	}
	return c.names[id]
}

// allowed returns the ids of the cgroups of the allowed units and of all cgroups below them, sorted. The name
// of a unit or slice is the one that the host's systemd uses: a unit of the same name inside of a container
// or below a user's manager is a different one.
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

// close stops watching.
func (c *cgroups) close() error { return c.file.Close() }

// mayWalk reports whether enough time has passed since the last walk. Walks take at most a tenth of the time,
// however many unknown ids and queue overflows there are.
func (c *cgroups) mayWalk() bool { return !time.Now().Before(c.nextWalk) }

// walk reads the whole tree. If a directory cannot be read, its known cgroups are kept.
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

// addTree adds the directory top and everything below it, breadth first: the units are near the top, if a
// bound is reached. known has the cgroups from before. It returns the errors of directories that cannot be
// read, except those of removed ones.
func (c *cgroups) addTree(top string, known map[string]*cgroup) error {
	var errs []error
	for queue := []string{top}; len(queue) > 0; queue = queue[1:] {
		path := queue[0]
		if len(c.live) >= maxCgroups || len(path) > maxPath || strings.Count(path, "/") > maxDepth {
			continue
		}
		children, err := c.addDirectory(path, known[path])
		if err != nil && !gone(err) {
			errs = append(errs, err)
		}
		queue = append(queue, children...)
	}
	return errors.Join(errs...)
}

// addDirectory adds one directory and returns the paths of its subdirectories. It reuses the known cgroup if
// the id is the same. The directory is watched before it is read: a subdirectory that is created in between
// is then found twice, and not missed.
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

// watch adds an inotify watch for a cgroup's directory. It ignores ENOSPC (the user's limit of watches): a
// walk finds what is not watched.
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

// remove ends the watch of a removed cgroup, and keeps its path until maxGone others were removed. The kernel
// never reuses an id.
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

// idOf returns the id of the cgroup at a path.
func (c *cgroups) idOf(path string) (uint64, error) {
	var stat unix.Stat_t
	if err := unix.Lstat(filepath.Join(c.mount, path), &stat); err != nil {
		return 0, err
	}
	return stat.Ino, nil
}

// gone reports whether an error means that a directory was removed. kernfs returns ENODEV for one that was
// opened before its removal.
func gone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV)
}

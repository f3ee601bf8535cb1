package guard

import (
	"context"
	"errors"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

// ErrNoCgroup2 says that the host has no cgroup v2 tree to attach to.
var ErrNoCgroup2 = errors.New("no cgroup v2 tree is mounted")

// rootCgroup is the id of the root of the tree, on every kernel (cgroup_init; kernfs gives
// its root inode 1).
const rootCgroup = 1

// mountPoint finds where the cgroup v2 tree is mounted in a process' mountinfo
// (proc_pid_mountinfo(5)), hybrid layouts included: there it is beside the v1 hierarchies,
// usually at /sys/fs/cgroup/unified. Of several mounts the one of the tree's root wins. The
// error is ErrNoCgroup2 where there is none.
func mountPoint(mountinfo []byte) (string, error) {
	return "", ErrNoCgroup2
}

// cgroups knows the path of each cgroup by its id: the inode number of its directory, which
// is what bpf_get_current_cgroup_id gives (64-bit kernels since 5.5). It hears of cgroups as
// they are made (inotify(7), IN_CREATE alone) and remembers those that are gone, so that a
// unit which lived for a millisecond still has its name.
//
// All its methods may be called from several goroutines.
type cgroups struct{}

// openCgroups begins to watch the tree at a mount point. allow names units whose writes are
// let through (see allowed).
func openCgroups(mount string, allow []string) (*cgroups, error) { return nil, errors.ErrUnsupported }

// run follows the tree until ctx ends or the watch fails. changed is called when the set of
// allowed ids has changed, and once at the start.
func (c *cgroups) run(ctx context.Context, changed func()) error { return errors.ErrUnsupported }

// path gives the path of a cgroup below the tree's root: "/system.slice/sshd.service". An id
// that is not known has the tree read anew, bounded; "" is one that is in no tree we see.
func (c *cgroups) path(id uint64) string { return "" }

// allowed gives the ids of the cgroups of the allowed units, with all that is below them.
func (c *cgroups) allowed() []uint64 { return nil }

// close ends the watch.
func (c *cgroups) close() error { return nil }

// place tells the unit, the container and the pod from a cgroup's path; PID and Comm are zero.
func place(path string) sysfs.Writer { return sysfs.Writer{} }

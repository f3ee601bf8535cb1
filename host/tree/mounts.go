package tree

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// kernelFS is a file system of the kernel that can be mounted in several places.
type kernelFS struct {
	// dir is its usual mount point, and magic its type in statfs(2).
	dir   string
	magic int64
	// needed is the directory that ctkeeper cannot do without.
	needed string
}

func procfs() kernelFS { return kernelFS{"/proc", unix.PROC_SUPER_MAGIC, "/proc/sys/net"} }
func sysfs() kernelFS  { return kernelFS{"/sys", unix.SYSFS_MAGIC, "/sys/module"} }

// own are the names in /proc that lead to the process that reads them. They are never looked up elsewhere: another
// mount of procfs may belong to a pid namespace in which this process does not exist.
var own = []string{"self", "thread-self", "net", "mounts"}

// WithMounts returns the running system with /proc and /sys looked up below other directories first, in which the
// whole file systems or parts of them are mounted, as in a container that has the host's /proc/sys/net at
// /host/proc/sys/net. What is not mounted there is read from /proc and /sys themselves. An empty
// argument leaves that one where it is. /proc/self stays this process. A tree with a root is not changed.
//
// The error names a directory that is not a mount of procfs or sysfs, or lacks /proc/sys/net or /sys/module.
func (t Tree) WithMounts(proc, sys string) (Tree, error) {
	var err error
	if t.procfs, err = procfs().at(proc); err == nil {
		t.sysfs, err = sysfs().at(sys)
	}
	return t, err
}

// at checks a directory in which (parts of) the file system are mounted, and returns its absolute path; empty is the
// usual mount point.
func (k kernelFS) at(dir string) (string, error) {
	if dir == "" {
		return "", nil
	}
	abs, err := filepath.Abs(dir)
	if err != nil || abs == k.dir {
		return "", err
	}
	needed := filepath.Join(abs, strings.TrimPrefix(k.needed, k.dir))
	var stat unix.Statfs_t
	switch err := unix.Statfs(needed, &stat); {
	case err != nil:
		return "", fmt.Errorf("cannot use %s in place of %s: %s: %w: mount the host's %s there",
			dir, k.dir, needed, err, k.needed)
	case int64(stat.Type) != k.magic: //nolint:unconvert // an int32 on 32-bit processors
		return "", fmt.Errorf("cannot use %s in place of %s: %s is not a mount of the kernel's files: "+
			"mount the host's %s there", dir, k.dir, needed, k.needed)
	}
	return abs, nil
}

// find returns the path of a file below dir, where (parts of) the file system are mounted. ok is false if the file
// is not in a mounted part. A file that does not exist is in one if the directory that it would be in is: the
// settings come and go with their module.
func (k kernelFS) find(dir, path string) (full string, ok bool) {
	rest, below := strings.CutPrefix(path, k.dir)
	if dir == "" || !below || rest != "" && rest[0] != '/' {
		return "", false
	}
	if first, _, _ := strings.Cut(strings.TrimPrefix(rest, "/"), "/"); k.dir == "/proc" && slices.Contains(own, first) {
		return "", false
	}
	full = filepath.Join(dir, rest)
	for at := full; len(at) >= len(dir); at = filepath.Dir(at) {
		var stat unix.Statfs_t
		if err := unix.Statfs(at, &stat); err == nil {
			return full, int64(stat.Type) == k.magic //nolint:unconvert // see at
		}
	}
	return "", false
}

// mounted returns where a file of the running system's /proc or /sys is, see WithMounts.
func (t Tree) mounted(path string) string {
	path = filepath.Clean(path)
	if full, ok := procfs().find(t.procfs, path); ok {
		return full
	}
	if full, ok := sysfs().find(t.sysfs, path); ok {
		return full
	}
	return path
}

package guard

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/host/capability"
	"github.com/ctkeeper/ctkeeper/host/mountinfo"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

// findCgroup2 returns where the cgroup v2 tree is mounted for this process.
func findCgroup2() (string, error) {
	mounts, err := mountinfo.Read(tree.Tree{})
	if err != nil {
		return "", fmt.Errorf("cannot find the cgroup v2 tree: %w", err)
	}
	return mountPoint(mounts, isWholeTree)
}

// isWholeTree reports whether the whole cgroup v2 tree of the host is mounted at a directory. A container has its own
// part of the tree, which its cgroup namespace shows as a root, too (cgroup_namespaces(7)).
func isWholeTree(mount string) bool {
	var stat unix.Stat_t
	return unix.Stat(mount, &stat) == nil && stat.Ino == rootCgroup
}

// addMissingTree adds to Missing that only a part of the cgroup v2 tree is watched.
func (g *Guard) addMissingTree(mount string) {
	if isWholeTree(mount) {
		return
	}
	g.features.Missing = append(g.features.Missing, capability.Missing{
		What: "writers outside of this container", Why: mount + " is the container's own part of the cgroup tree",
		Hint: "mount the host's /sys/fs/cgroup at the same place, read-only",
	})
}

// mountPoint returns the mount point of the cgroup v2 tree. In a hybrid layout the tree is mounted beside the
// v1 hierarchies, usually at /sys/fs/cgroup/unified. It prefers a mount of the whole tree, then one of the root
// of this process's cgroup namespace, then one of any other part. Without any it returns ErrNoCgroup2.
func mountPoint(mounts []mountinfo.Mount, isWhole func(mount string) bool) (string, error) {
	found, root := "", ""
	for _, m := range mounts {
		switch {
		case m.FSType != "cgroup2" || !strings.HasPrefix(m.Mountpoint, "/"):
		case isWhole(m.Mountpoint):
			return m.Mountpoint, nil
		case m.Root == "/":
			root = cmp.Or(root, m.Mountpoint)
		default:
			found = cmp.Or(found, m.Mountpoint)
		}
	}
	if found = cmp.Or(root, found); found == "" {
		return "", ErrNoCgroup2
	}
	return found, nil
}

// eachEvent calls handle for each event of one read from inotify(7), with the watch descriptor, the event's
// mask, and the name in the watched directory, which is empty for the directory itself.
func eachEvent(buf []byte, handle func(watch int32, mask uint32, name string)) {
	for len(buf) >= unix.SizeofInotifyEvent {
		length := int64(binary.NativeEndian.Uint32(buf[12:]))
		if length > int64(len(buf)-unix.SizeofInotifyEvent) {
			return
		}
		end := unix.SizeofInotifyEvent + int(length)
		name, _, _ := strings.Cut(string(buf[unix.SizeofInotifyEvent:end]), "\x00")
		handle(int32(binary.NativeEndian.Uint32(buf)), binary.NativeEndian.Uint32(buf[4:]), name)
		buf = buf[end:]
	}
}

package guard

import (
	"encoding/binary"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/host/mountinfo"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

// findCgroup2 returns where the cgroup v2 tree is mounted for this process.
func findCgroup2() (string, error) {
	mounts, err := mountinfo.Read(tree.Tree{})
	if err != nil {
		return "", fmt.Errorf("cannot find the cgroup v2 tree: %w", err)
	}
	return mountPoint(mounts)
}

// mountPoint returns the mount point of the cgroup v2 tree, in hybrid layouts too: there the tree
// is beside the v1 hierarchies, usually at /sys/fs/cgroup/unified. A mount of the tree's root is
// preferred to a mount of a part of it. The error is ErrNoCgroup2 where there is none.
func mountPoint(mounts []mountinfo.Mount) (string, error) {
	found := ""
	for _, m := range mounts {
		switch {
		case m.FSType != "cgroup2" || !strings.HasPrefix(m.Mountpoint, "/"):
		case m.Root == "/":
			return m.Mountpoint, nil
		case found == "":
			found = m.Mountpoint
		}
	}
	if found == "" {
		return "", ErrNoCgroup2
	}
	return found, nil
}

// eachEvent hands on the events of one read from inotify(7): the watch descriptor, what
// happened, and the name in the watched directory, empty where it is the directory itself.
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

package guard

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// mountPoint finds where the cgroup v2 tree is mounted in a process' mountinfo
// (proc_pid_mountinfo(5)), hybrid layouts included: there it is beside the v1 hierarchies,
// usually at /sys/fs/cgroup/unified. Of several mounts the one of the tree's root wins. The
// error is ErrNoCgroup2 where there is none.
func mountPoint(mountinfo []byte) (string, error) {
	found := ""
	for line := range strings.Lines(string(mountinfo)) {
		// 41 31 0:38 ROOT POINT rw,relatime OPTIONAL… - cgroup2 SOURCE rw
		fields := strings.Split(strings.TrimSuffix(line, "\n"), " ")
		end := slices.Index(fields, "-")
		if end < 6 || len(fields) < end+2 || fields[end+1] != "cgroup2" {
			continue
		}
		root, point := fields[3], unescape(fields[4], `\`, 8, 3)
		switch {
		case !strings.HasPrefix(point, "/"):
		case root == "/":
			return point, nil
		case found == "":
			found = point
		}
	}
	if found == "" {
		return "", ErrNoCgroup2
	}
	return found, nil
}

// unescape replaces each mark that is followed by that many digits of a base with the byte
// that they stand for: \040 in mountinfo (mangle_path), \x2d in unit names
// (unit_name_escape).
func unescape(s, mark string, base, digits int) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, mark)
		b.WriteString(before)
		if !found {
			return b.String()
		}
		if len(after) >= digits {
			if n, err := strconv.ParseUint(after[:digits], base, 8); err == nil {
				b.WriteByte(byte(n))
				s = after[digits:]
				continue
			}
		}
		b.WriteString(mark)
		s = after
	}
}

// eachEvent hands on the events of one read from inotify(7): the watch descriptor, what
// happened, and the name in the watched directory, empty where it is the directory itself.
func eachEvent(buf []byte, heard func(watch int32, mask uint32, name string)) {
	for len(buf) >= unix.SizeofInotifyEvent {
		length := int64(binary.NativeEndian.Uint32(buf[12:]))
		if length > int64(len(buf)-unix.SizeofInotifyEvent) {
			return
		}
		end := unix.SizeofInotifyEvent + int(length)
		name, _, _ := strings.Cut(string(buf[unix.SizeofInotifyEvent:end]), "\x00")
		heard(int32(binary.NativeEndian.Uint32(buf)), binary.NativeEndian.Uint32(buf[4:]), name)
		buf = buf[end:]
	}
}

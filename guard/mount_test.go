package guard

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/host/mountinfo"
)

const (
	pureMounts = `21 26 0:20 / /proc rw,nosuid - proc proc rw
26 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
30 24 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate
`
	hybridMounts = `31 22 0:26 / /sys/fs/cgroup ro,nosuid,nodev,noexec shared:8 - tmpfs tmpfs ro,mode=755
32 31 0:27 / /sys/fs/cgroup/unified rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup rw,nsdelegate
33 31 0:28 / /sys/fs/cgroup/systemd rw,nosuid,nodev,noexec,relatime shared:10 - cgroup cgroup rw,xattr,name=systemd
`
)

// mounts are mountinfo files, each with the mount point of the cgroup v2 tree, or "".
var mounts = map[string]struct{ text, want string }{
	"pure":   {pureMounts, "/sys/fs/cgroup"},
	"hybrid": {hybridMounts, "/sys/fs/cgroup/unified"},
	"v1":     {strings.ReplaceAll(pureMounts, "cgroup2", "cgroup"), ""},
	"the root before a part of the tree": {
		"40 26 0:26 /system.slice/docker-1.scope /mnt rw - cgroup2 cgroup2 rw\n" + pureMounts, "/sys/fs/cgroup"},
	"a part alone": {
		"40 26 0:26 /../.. /a rw - cgroup2 cgroup2 rw\n41 26 0:26 /.. /b rw - cgroup2 cgroup2 rw\n", "/a"},
	"no optional field": {"41 31 0:38 / /cg rw,relatime - cgroup2 cgroup2 rw\n", "/cg"},
	"many optional fields": {
		"41 31 0:38 / /cg rw shared:1 master:2 propagate_from:3 unbindable - cgroup2 cgroup2 rw\n", "/cg"},
	"no newline":               {"41 31 0:38 / /cg rw - cgroup2 cgroup2 rw", "/cg"},
	"no source":                {"41 31 0:38 / /cg rw - cgroup2  rw\n", "/cg"},
	"escaped":                  {`41 31 0:38 / /a\040b\011c\012d\134e\043 rw - cgroup2 none rw`, "/a b\tc\nd\\e#"},
	"odd escapes":              {`41 31 0:38 / /a\b\9\04\777\ rw - cgroup2 none rw`, `/a\b\9\04\777\`},
	"a source that looks like": {"41 31 0:38 / /x rw - tmpfs cgroup2 rw\n", ""},
	"a point that looks like":  {"41 31 0:38 / - rw - cgroup2 cgroup2 rw\n", ""},
	"not absolute":             {"41 31 0:38 / cg rw - cgroup2 cgroup2 rw\n", ""},
	"cut":                      {"41 31 0:38 / /x rw -", ""},
	"empty":                    {"", ""},
}

func TestMountPoint(t *testing.T) {
	for name, test := range mounts {
		t.Run(name, func(t *testing.T) {
			got, err := mountPoint(mountinfo.Parse(test.text), func(string) bool { return false })
			if got != test.want || (err == nil) != (test.want != "") || err != nil && !errors.Is(err, ErrNoCgroup2) {
				t.Errorf("%q, %v; want %q", got, err, test.want)
			}
		})
	}
}

// TestWholeTree has the host's tree beside a container's own part, whose root it sees as one.
func TestWholeTree(t *testing.T) {
	own := "40 26 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
	host := "41 26 0:26 /../../.. /host/sys/fs/cgroup ro - cgroup2 cgroup2 rw\n"
	isWhole := func(mount string) bool { return mount == "/host/sys/fs/cgroup" }
	for _, text := range []string{own + host, host + own} {
		if got, err := mountPoint(mountinfo.Parse(text), isWhole); got != "/host/sys/fs/cgroup" || err != nil {
			t.Errorf("%s\n%q, %v; want the host's", text, got, err)
		}
	}
}

func FuzzMountPoint(f *testing.F) {
	for _, test := range mounts {
		f.Add(test.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		point, err := mountPoint(mountinfo.Parse(text), func(string) bool { return false })
		if err == nil && (!strings.HasPrefix(point, "/") || len(point) > len(text)) || err != nil && point != "" {
			t.Errorf("%q, %v", point, err)
		}
	})
}

type inotifyEvent struct {
	Watch int32
	Mask  uint32
	Name  string
}

// encode returns events in the format of inotify(7), with names padded with NULs.
func encode(events ...inotifyEvent) []byte {
	var buf []byte
	for _, e := range events {
		name := []byte(e.Name)
		if len(name) > 0 {
			name = append(name, make([]byte, 16-len(name)%16)...)
		}
		buf = binary.NativeEndian.AppendUint32(buf, uint32(e.Watch))
		buf = binary.NativeEndian.AppendUint32(buf, e.Mask)
		buf = binary.NativeEndian.AppendUint32(buf, 0)
		buf = binary.NativeEndian.AppendUint32(buf, uint32(len(name)))
		buf = append(buf, name...)
	}
	return buf
}

var someEvents = []inotifyEvent{
	{1, unix.IN_CREATE | unix.IN_ISDIR, "sshd.service"},
	{-1, unix.IN_Q_OVERFLOW, ""},
	{7, unix.IN_IGNORED, ""},
	{2, unix.IN_DELETE | unix.IN_ISDIR, strings.Repeat("n", 255)},
}

func TestEachEvent(t *testing.T) {
	for cut := range 3 { // an incomplete event is ignored
		var got []inotifyEvent
		raw := encode(someEvents...)
		eachEvent(raw[:len(raw)-cut], func(watch int32, mask uint32, name string) {
			got = append(got, inotifyEvent{watch, mask, name})
		})
		want := someEvents
		if cut > 0 {
			want = someEvents[:3]
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("without %d bytes: events (-want +got):\n%s", cut, diff)
		}
	}
}

func FuzzEachEvent(f *testing.F) {
	f.Add(encode(someEvents...))
	f.Fuzz(func(t *testing.T, raw []byte) {
		eachEvent(raw, func(_ int32, _ uint32, name string) {
			if strings.Contains(name, "\x00") {
				t.Errorf("name %q", name)
			}
		})
	})
}

package guard

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

const (
	id1 = "4f0c8a21bd03e6d5c7b8a9f0e1d2c3b4a5968778695a4b3c2d1e0f1a2b3c4d5e"
	id2 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	uid = "1f2e3d4c-5b6a-4798-8a9b-acbdcedfe0f1"
	// uidSlice is uid as kubelet's systemd driver writes it, static that of a static pod.
	uidSlice = "1f2e3d4c_5b6a_4798_8a9b_acbdcedfe0f1"
	static   = "d6c8c0b1b8d6b6c0a4a3c4ef7d3d3f2d"
)

// paths are cgroup paths of real hosts, each with what parsePath returns.
var paths = []struct {
	path string
	want sysfs.Writer
}{
	{"", sysfs.Writer{}},
	{"/", sysfs.Writer{}},
	// systemd
	{"/init.scope", sysfs.Writer{Unit: "init.scope"}},
	{"/system.slice/sshd.service", sysfs.Writer{Unit: "sshd.service"}},
	{"/system.slice/run-u42.service", sysfs.Writer{Unit: "run-u42.service"}},
	{"/system.slice/system-getty.slice/getty@tty1.service", sysfs.Writer{Unit: "getty@tty1.service"}},
	{
		`/system.slice/system-systemd\x2dfsck.slice/systemd-fsck@dev-vda1.service`,
		sysfs.Writer{Unit: "systemd-fsck@dev-vda1.service"},
	},
	{"/system.slice/_cpu.service", sysfs.Writer{Unit: "cpu.service"}},
	{"/system.slice/dbus.socket", sysfs.Writer{Unit: "dbus.socket"}},
	{`/system.slice/dev-hugepages.mount`, sysfs.Writer{Unit: "dev-hugepages.mount"}},
	{`/system.slice/dev-disk-by\x2duuid-1.swap`, sysfs.Writer{Unit: `dev-disk-by\x2duuid-1.swap`}},
	{"/system.slice/systemd-udevd.service/udev", sysfs.Writer{Unit: "systemd-udevd.service"}},
	{"/user.slice/user-1000.slice/session-3.scope", sysfs.Writer{Unit: "session-3.scope"}},
	{"/user.slice/user-1000.slice/user@1000.service/app.slice/foo.service", sysfs.Writer{Unit: "user@1000.service"}},
	{"/system.slice", sysfs.Writer{Unit: "system.slice"}},
	{"/user.slice/user-1000.slice", sysfs.Writer{Unit: "user-1000.slice"}},
	{"/custom.slice/by-hand/sshd.service", sysfs.Writer{Unit: "custom.slice"}},
	// no systemd
	{"/openrc.sshd", sysfs.Writer{}},
	{"/by-hand/sshd.service", sysfs.Writer{}},
	{"/.service", sysfs.Writer{}},
	{"/sshd.timer", sysfs.Writer{}},
	// Docker
	{"/system.slice/docker-" + id1 + ".scope", sysfs.Writer{Unit: "docker-" + id1 + ".scope", Container: id1}},
	{
		"/system.slice/docker-" + id1 + ".scope/init.scope",
		sysfs.Writer{Unit: "docker-" + id1 + ".scope", Container: id1},
	},
	{"/docker/" + id1, sysfs.Writer{Container: id1}},
	{"/system.slice/docker.service", sysfs.Writer{Unit: "docker.service"}},
	{"/system.slice/nerdctl-" + id1 + ".scope", sysfs.Writer{Unit: "nerdctl-" + id1 + ".scope", Container: id1}},
	{"/docker/" + id1 + "/docker/" + id2, sysfs.Writer{Container: id2}},
	{"/system.slice/docker-" + id1[:12] + ".scope", sysfs.Writer{Unit: "docker-" + id1[:12] + ".scope"}},
	{"/docker/" + strings.ToUpper(id1), sysfs.Writer{}},
	{"/docker/" + id1 + "0", sysfs.Writer{}},
	// Kubernetes, systemd driver
	{"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + uidSlice + ".slice" +
		"/cri-containerd-" + id1 + ".scope",
		sysfs.Writer{Unit: "cri-containerd-" + id1 + ".scope", Container: id1, Pod: uid}},
	{"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" + uidSlice + ".slice/crio-" + id1 + ".scope" +
		"/container",
		sysfs.Writer{Unit: "crio-" + id1 + ".scope", Container: id1, Pod: uid}},
	{"/kubepods.slice/kubepods-pod" + uidSlice + ".slice/docker-" + id1 + ".scope",
		sysfs.Writer{Unit: "docker-" + id1 + ".scope", Container: id1, Pod: uid}},
	{"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + static + ".slice" +
		"/cri-containerd-" + id1 + ".scope",
		sysfs.Writer{Unit: "cri-containerd-" + id1 + ".scope", Container: id1, Pod: static}},
	{"/kubepods.slice/kubepods-pod" + uidSlice + ".slice/crio-conmon-" + id1 + ".scope",
		sysfs.Writer{Unit: "crio-conmon-" + id1 + ".scope", Pod: uid}},
	{"/system.slice/kubelet.service", sysfs.Writer{Unit: "kubelet.service"}},
	// Kubernetes, cgroupfs driver
	{"/kubepods/burstable/pod" + uid + "/" + id1, sysfs.Writer{Container: id1, Pod: uid}},
	{"/kubepods/pod" + uid + "/" + id1, sysfs.Writer{Container: id1, Pod: uid}},
	{"/kubepods/besteffort/pod" + static + "/crio-" + id1, sysfs.Writer{Container: id1, Pod: static}},
	{"/system.slice/containerd.service/kubepods-burstable-pod" + uidSlice + ".slice:cri-containerd:" + id1,
		sysfs.Writer{Unit: "containerd.service", Container: id1, Pod: uid}},
	// kind: a node is a container
	{"/system.slice/docker-" + id2 + ".scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice" +
		"/kubelet-kubepods-burstable-pod" + uidSlice + ".slice/cri-containerd-" + id1 + ".scope",
		sysfs.Writer{Unit: "docker-" + id2 + ".scope", Container: id1, Pod: uid}},
	// Podman
	{
		"/machine.slice/libpod-" + id1 + ".scope/container",
		sysfs.Writer{Unit: "libpod-" + id1 + ".scope", Container: id1},
	},
	{"/machine.slice/libpod-conmon-" + id1 + ".scope", sysfs.Writer{Unit: "libpod-conmon-" + id1 + ".scope"}},
	{
		"/machine.slice/machine-libpod_pod_" + id2 + ".slice/libpod-" + id1 + ".scope",
		sysfs.Writer{Unit: "libpod-" + id1 + ".scope", Container: id1},
	},
	{
		"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + id1 + ".scope",
		sysfs.Writer{Unit: "user@1000.service", Container: id1},
	},
	{"/system.slice/web.service/libpod-payload-" + id1, sysfs.Writer{Unit: "web.service", Container: id1}},
	{"/system.slice/web.service/supervisor", sysfs.Writer{Unit: "web.service"}},
	{"/libpod_parent/libpod-" + id1, sysfs.Writer{Container: id1}},
	{"/libpod_parent/conmon", sysfs.Writer{}},
	// LXC, Incus, Proxmox
	{"/lxc.payload.web1", sysfs.Writer{Container: "web1"}},
	{"/lxc.payload.web1/system.slice/nginx.service", sysfs.Writer{Container: "web1"}},
	{"/lxc.monitor.web1", sysfs.Writer{}},
	{"/lxc/101/ns/init.scope", sysfs.Writer{Container: "101"}},
	{"/lxc.payload/web1", sysfs.Writer{Container: "web1"}},
	{"/lxc.payload.web1/docker/" + id1, sysfs.Writer{Container: id1}},
	{"/user.slice/user-0.slice/session-1.scope/lxc.payload.c", sysfs.Writer{Unit: "session-1.scope", Container: "c"}},
	// systemd-nspawn and machined
	{
		"/machine.slice/systemd-nspawn@debian.service/payload",
		sysfs.Writer{Unit: "systemd-nspawn@debian.service", Container: "debian"},
	},
	{
		`/machine.slice/systemd-nspawn@my\x2dbox.service`,
		sysfs.Writer{Unit: `systemd-nspawn@my\x2dbox.service`, Container: "my-box"},
	},
	{
		"/machine.slice/systemd-nspawn@my-box.service",
		sysfs.Writer{Unit: "systemd-nspawn@my-box.service", Container: "my-box"},
	},
	{`/machine.slice/machine-my\x2dbox.scope`, sysfs.Writer{Unit: `machine-my\x2dbox.scope`, Container: "my-box"}},
	{
		`/machine.slice/machine-qemu\x2d1\x2dvm.scope/libvirt/emulator`,
		sysfs.Writer{Unit: `machine-qemu\x2d1\x2dvm.scope`},
	},
	{"/system.slice/machine-id.scope", sysfs.Writer{Unit: "machine-id.scope"}},
	// hostile
	{"/system.slice/\x1b[31mevil\x00 \u202e.service", sysfs.Writer{Unit: "??31mevil?????.service"}},
	{"/lxc.payload.<script>", sysfs.Writer{Container: "?script?"}},
	{
		`/machine.slice/machine-\x1b\x5b2J\xzz.scope`,
		sysfs.Writer{Unit: `machine-\x1b\x5b2J\xzz.scope`, Container: `??2J\xzz`},
	},
	{"/" + strings.Repeat("x", 300) + ".service", sysfs.Writer{Unit: strings.Repeat("x", 255)}},
	{"///system.slice//a.service/", sysfs.Writer{Unit: "a.service"}},
	{"/machine.slice/machine-.scope", sysfs.Writer{Unit: "machine-.scope"}},
	{"/machine.slice/machine-scope", sysfs.Writer{Unit: "machine.slice"}},
	{"/kubepods/pod" + uid[:35] + "/podz/pod/xpod" + uid, sysfs.Writer{}},
	{"/kubepods/pod" + strings.ReplaceAll(uid, "-", "") + "-", sysfs.Writer{}},
	{"/kubepods/pod1f2e3d4c5-b6a-4798-8a9b-acbdcedfe0f1", sysfs.Writer{}},
}

func TestParsePath(t *testing.T) {
	for _, test := range paths {
		t.Run(test.path, func(t *testing.T) {
			if diff := cmp.Diff(test.want, parsePath(test.path)); diff != "" {
				t.Errorf("parsePath (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzParsePath(f *testing.F) {
	for _, test := range paths {
		f.Add(test.path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		w := parsePath(path)
		for _, text := range []string{w.Unit, w.Container, w.Pod} {
			if len(text) > 255 || strings.ContainsFunc(text, func(r rune) bool {
				return r <= ' ' || r > '~' || strings.ContainsRune(`<>"'&`, r)
			}) {
				t.Errorf("%q: %+q", path, w)
			}
		}
		if w.PID != 0 || w.Comm != "" {
			t.Errorf("%q: has a process: %+v", path, w)
		}
	})
}

// TestUnits: units returns only the host's units and slices, not those inside of a container or a user's manager.
func TestUnits(t *testing.T) {
	for path, want := range map[string][]string{
		"/":                                      nil,
		"/a.slice":                               {"a.slice"},
		"/a.slice/a-b.slice/c.scope":             {"a.slice", "a-b.slice", "c.scope"},
		"/a.slice/c.service/a-b.slice/d.service": {"a.slice", "c.service"},
		"/_a.slice/__c.service":                  {"a.slice", "_c.service"},
		"/lxc.payload.x/system.slice/d.service":  nil,
		"/user.slice/user-7.slice/user@7.service/app.slice/kube-proxy.service": {
			"user.slice", "user-7.slice", "user@7.service",
		},
	} {
		if diff := cmp.Diff(want, units(path)); diff != "" {
			t.Errorf("units of %s (-want +got):\n%s", path, diff)
		}
	}
}

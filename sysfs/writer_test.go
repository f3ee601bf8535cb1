package sysfs_test

import (
	"strings"
	"testing"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

func TestWriter(t *testing.T) {
	id := strings.Repeat("4f0c8a21bd03", 6)[:64]
	tests := []struct {
		writer       sysfs.Writer
		want, cgroup string
	}{
		{sysfs.Writer{}, "somebody", ""},
		{sysfs.Writer{Comm: "sysctl"}, "sysctl", ""},
		{sysfs.Writer{PID: 7}, "somebody (pid 7)", ""},
		{sysfs.Writer{Unit: "cron.service"}, "somebody (cron.service)", "cron.service"},
		{
			sysfs.Writer{PID: 812, Comm: "sysctl", Unit: "sshd.service"},
			"sysctl (pid 812, sshd.service)",
			"sshd.service",
		},
		{
			sysfs.Writer{
				PID:       2211,
				Comm:      "kube-proxy",
				Unit:      "cri-containerd-" + id + ".scope",
				Container: id,
				Pod:       "1f0e",
			},
			"kube-proxy (pid 2211, container 4f0c8a21bd03 of pod 1f0e)", "container " + id + ", pod 1f0e",
		},
		{
			sysfs.Writer{
				PID: 2211, Comm: "kube-proxy", Container: id,
				Pod: "1f0e", PodNamespace: "kube-system", PodName: "kube-proxy-x7k2p",
			},
			"kube-proxy (pid 2211, container 4f0c8a21bd03 of pod kube-system/kube-proxy-x7k2p)",
			"container " + id + ", pod 1f0e",
		},
		{
			sysfs.Writer{Comm: "sh", Unit: "docker.service", Container: id},
			"sh (container 4f0c8a21bd03)",
			"container " + id,
		},
		// A name is shown in full, also one that is as long as an id.
		{sysfs.Writer{Container: "web"}, "somebody (container web)", "container web"},
		{sysfs.Writer{Container: "z" + id[1:]}, "somebody (container z" + id[1:] + ")", "container z" + id[1:]},
	}
	for _, test := range tests {
		if got := test.writer.String(); got != test.want {
			t.Errorf("%#v is printed as %q, want %q", test.writer, got, test.want)
		}
		if got := test.writer.Cgroup(); got != test.cgroup {
			t.Errorf("%#v is at %q, want %q", test.writer, got, test.cgroup)
		}
	}
}

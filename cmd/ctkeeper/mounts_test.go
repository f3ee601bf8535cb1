package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/ctkeeper/ctkeeper/internal/netns"
)

func TestMountFlags(t *testing.T) {
	root := host(t, drifting)
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--root", root, "--path.procfs", "/host/proc"}, "--root is for another"},
		{[]string{"--root", root, "--path.sysfs", "/sys"}, "--root is for another"},
		{[]string{"--path.procfs", ""}, `invalid argument "" for --path.procfs`},
		{[]string{"--path.sysfs="}, `invalid argument "" for --path.procfs or --path.sysfs`},
		{[]string{"--path.procfs", "/no/such"}, "mount the host's /proc/sys/net there"},
		{[]string{"--path.procfs", root + "/proc"}, "is not a mount of the kernel's files"},
		{[]string{"--path.sysfs", root + "/sys"}, "is not a mount of the kernel's files: mount the host's /sys/module"},
	} {
		ctkeeper(t.Context(), append([]string{"diff"}, test.args...)...).wants(t, exitUsage, nil, []string{test.want})
	}
	ctkeeper(t.Context(), "version", "--path.procfs", "/proc", "--path.sysfs", "/sys").wants(t, 0, []string{"ctkeeper"},
		nil)
}

// TestApplyThroughMounts writes where the container's own /proc/sys is read-only.
func TestApplyThroughMounts(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	dir := netns.Mounts(t)
	file := filepath.Join(t.TempDir(), "ctkeeper.yaml")
	if err := os.WriteFile(file, []byte("settings: {udp_timeout: 33}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	mounts := []string{"--config", file, "--path.procfs", dir + "/proc", "--path.sysfs", dir + "/sys"}
	run := func(command string, args ...string) result {
		return ctkeeper(t.Context(), append([]string{command}, args...)...)
	}
	run("apply", "--config", file).wants(t, exitNo, []string{"forbidden"},
		[]string{"run it with --path.procfs=/host/proc"})
	run("diff", mounts...).wants(t, exitNo, []string{"udp_timeout"}, nil)
	run("apply", mounts...).wants(t, 0, []string{"udp_timeout", "in-sync"}, []string{"repaired"})
	run("diff", mounts...).wants(t, 0, []string{"Nothing differs"}, nil)
	text, err := os.ReadFile(dir + "/proc/sys/net/netfilter/nf_conntrack_udp_timeout")
	if err != nil || string(text) != "33\n" {
		t.Errorf("udp_timeout is %q, %v", text, err)
	}
}

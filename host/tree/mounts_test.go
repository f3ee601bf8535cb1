package tree_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/netns"
)

// TestMounts has parts of /proc and /sys mounted as a pod has them.
func TestMounts(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	dir := netns.Mounts(t)
	host, err := tree.Tree{}.WithMounts(dir+"/proc", dir+"/sys/")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	want := map[string]string{
		"/proc/sys/net/netfilter/nf_conntrack_max":     dir + "/proc/sys/net/netfilter/nf_conntrack_max",
		"/proc/sys/net/netfilter/no_such_file":         dir + "/proc/sys/net/netfilter/no_such_file",
		"/proc/sys/net/no_such_directory/file":         dir + "/proc/sys/net/no_such_directory/file",
		"/sys/module/no_such_module/parameters/x":      dir + "/sys/module/no_such_module/parameters/x",
		"/proc/sys/kernel/osrelease":                   "/proc/sys/kernel/osrelease",
		"/proc/modules":                                "/proc/modules",
		"/proc":                                        "/proc",
		"/proc/self/mountinfo":                         "/proc/self/mountinfo",
		"/proc/net/stat/nf_conntrack":                  "/proc/net/stat/nf_conntrack",
		"/proc/thread-self/comm":                       "/proc/thread-self/comm",
		"/processes":                                   "/processes",
		"/sys/fs/cgroup":                               "/sys/fs/cgroup",
		"/etc/ctkeeper/ctkeeper.yaml":                  "/etc/ctkeeper/ctkeeper.yaml",
		dir + "/proc/sys/net/netfilter/nf_conntrack_x": dir + "/proc/sys/net/netfilter/nf_conntrack_x",
	}
	for path := range want {
		got[path] = host.Real(path)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("where the files are (-want +got):\n%s", diff)
	}
	for _, path := range []string{"/proc/sys/net/core/somaxconn", "/proc/self/stat", "/proc/meminfo"} {
		if _, err := host.Read(path, 1<<16); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	if other := tree.At(dir); other.Live() || other.Real("/proc/modules") != dir+"/proc/modules" {
		t.Errorf("a root is %+v", other)
	}
}

func TestMountsAreChecked(t *testing.T) {
	plain := t.TempDir()
	for _, dir := range []string{"sys/net", "module"} {
		if err := os.MkdirAll(filepath.Join(plain, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct{ proc, sys, want string }{
		{"", "", ""},
		{"/proc", "/sys", ""},
		{"/proc/", "/sys/.", ""},
		{"/no/such", "", "/no/such/sys/net: no such file or directory: mount the host's /proc/sys/net there"},
		{plain, "", "/sys/net is not a mount of the kernel's files: mount the host's /proc/sys/net there"},
		{"", plain, "/module is not a mount of the kernel's files: mount the host's /sys/module there"},
		{"/sys", "", "cannot use /sys in place of /proc: /sys/sys/net: no such file or directory"},
	} {
		host, err := tree.Tree{}.WithMounts(test.proc, test.sys)
		switch {
		case test.want == "" && (err != nil || host != tree.Tree{}):
			t.Errorf("%s and %s: %+v, %v; want the usual places", test.proc, test.sys, host, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s and %s: %v, want %q", test.proc, test.sys, err, test.want)
		}
	}
}

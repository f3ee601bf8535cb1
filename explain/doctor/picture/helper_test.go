package picture

import (
	"context"
	"testing"

	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
)

const (
	release      = "6.1.0-18-amd64"
	unifiedMount = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate"
	legacyMount  = "33 24 0:29 / /sys/fs/cgroup/cpu rw,nosuid shared:9 - cgroup cgroup rw,cpu"
	builtConfig  = "# Linux\nCONFIG_SYSCTL=y\nCONFIG_BPF_SYSCALL=y\nCONFIG_CGROUP_BPF=y\n"
	vendorUnit   = "usr/lib/systemd/system/ctkeeper.service"
	ownUnit      = "etc/systemd/system/ctkeeper.service"
	dropInFile   = "etc/systemd/system/ctkeeper.service.d/50-x.conf"
	wantsLink    = "etc/systemd/system/multi-user.target.wants/ctkeeper.service"
)

// running is a daemon that answers.
func running(context.Context) bool { return true }

// put writes files below a root, by their paths without the first slash.
func put(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		kerneltree.Put(t, root, name, content)
	}
}

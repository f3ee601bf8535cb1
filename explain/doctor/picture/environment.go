package picture

import (
	"cmp"
	"context"
	"os"
	"path"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/host/capability"
	"github.com/ctkeeper/ctkeeper/host/mountinfo"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

// maxText is more than the length of any unit or table of mounts, in bytes.
const maxText = 1 << 20

// readEnvironment reads where ctkeeper runs on this host. Its privileges are left out for a tree: only the running
// system has them. That no daemon answers in a tree proves nothing.
func readEnvironment(ctx context.Context, t tree.Tree, opts Options) Environment {
	e := Environment{
		ChildNetns: isChildNetns(t), ReadOnly: readOnlyMounts(t), Systemd: hasSystemd(t), Enabled: isEnabled(t),
		ConfigWritten: readConfigWritten(t, opts.Source),
		KubeProxyUnit: hasUnit(t, KubeProxyUnit), SysconfigModules: t.Exists("/etc/sysconfig/modules"),
	}
	e.Installed, e.Masked, e.Overrides = readUnit(t)
	if t.Live() {
		e.NetAdmin, e.Root = capability.Held(unix.CAP_NET_ADMIN), os.Geteuid() == 0
	}
	if opts.Running != nil {
		if running := opts.Running(ctx); running || t.Live() {
			e.Running = &running
		}
	}
	return e
}

// isChildNetns reports whether this is a network namespace other than the host's first one: there the
// alias net.nf_conntrack_max is missing. While the module is absent, only a comparison with init's
// namespace can show it, which is the first one where init is the host's.
func isChildNetns(t tree.Tree) bool {
	const alias = "/proc/sys/net/nf_conntrack_max"
	switch {
	case t.Exists(alias):
		return false
	case t.Exists(MaxFile):
		return true
	case !t.Live():
		return false
	}
	own, err := os.Readlink("/proc/self/ns/net")
	first, errFirst := os.Readlink("/proc/1/ns/net")
	return err == nil && errFirst == nil && own != first
}

// readOnlyMounts returns the mounts that make /proc/sys or /sys read-only. Of the mounts that hold one
// of them, the last one of the longest mount point counts.
func readOnlyMounts(t tree.Tree) []finding.Evidence {
	mounts, _ := mountinfo.Read(t) // a collected tree has none
	var found []finding.Evidence
	for _, dir := range []string{"/proc/sys/net", "/sys/module"} {
		if t.Live() {
			dir = t.Real(dir)
		}
		var nearest *mountinfo.Mount
		for i, m := range mounts {
			if m.Holds(dir) && (nearest == nil || len(m.Mountpoint) >= len(nearest.Mountpoint)) {
				nearest = &mounts[i]
			}
		}
		if nearest != nil && nearest.IsReadOnly() {
			found = append(found, finding.Seen(mountinfo.File, nearest.Line, nearest.Text))
		}
	}
	return found
}

// hasSystemd reports whether the host runs systemd (sd_booted(3)), or its disk would.
func hasSystemd(t tree.Tree) bool {
	if t.Exists("/run/systemd/system") {
		return true
	}
	return !t.Live() && slices.ContainsFunc([]string{"/usr/lib/systemd/systemd", "/lib/systemd/systemd"}, t.Exists)
}

// readConfigWritten returns when a configuration file was last written.
func readConfigWritten(t tree.Tree, source config.Source) time.Time {
	main := cmp.Or(source.Main, config.DefaultMain)
	files := []string{main}
	if main == config.DefaultMain {
		for _, dir := range []string{"/usr/lib/ctkeeper/conf.d", "/run/ctkeeper/conf.d", ConfigDropIns} {
			names, _ := t.List(dir)
			for _, name := range names {
				files = append(files, path.Join(dir, name))
			}
		}
	}
	var last time.Time
	for _, file := range files {
		if info, err := t.Stat(file); err == nil && info.ModTime().After(last) {
			last = info.ModTime()
		}
	}
	return last
}

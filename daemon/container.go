package daemon

import (
	"fmt"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/host/logging"
	"github.com/ctkeeper/ctkeeper/host/process"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/systemd"
)

const sysctlTree = "/proc/sys/net"

// blindness returns what inotify cannot see here, or "". A procfs that is mounted again is another one with inodes of
// its own (proc_get_tree), and inotify reports writes through the watched one only. In the host's pid namespace and
// without another mount, the watched one is assumed to be the host's.
func blindness(host tree.Tree) string {
	inHost, known := process.InHostPIDs()
	switch watched := host.Real(sysctlTree); {
	case !host.Live():
		return ""
	case watched != sysctlTree:
		return "writes through another mount of procfs than " + watched + " (a container's own /proc)"
	case known && !inHost:
		return "writes through another mount of procfs than this container's own /proc (the host's)"
	}
	return ""
}

// noteBlindness adds to the sources of a document what inotify cannot see, unless the guard sees it.
func (d *Daemon) noteBlindness(sources []status.Source, cfg *config.Config) {
	blind := blindness(d.host)
	for i, s := range sources {
		if s.Name == status.SourceSettings && s.OK && blind != "" && !d.guard.IsWatching() {
			sources[i].Note = fmt.Sprintf("%s are found within %s; the guard sees them at once", blind, cfg.Resync)
		}
	}
}

// logMounts logs where the settings are, if not in the usual places, and what inotify cannot see.
func (d *Daemon) logMounts(cfg *config.Config) {
	blind := blindness(d.host)
	if !d.host.Live() || blind == "" && d.host == (tree.Tree{}) {
		return
	}
	log := d.opts.Log.With(logging.String("procfs", d.host.Real(sysctlTree)),
		logging.String("sysfs", d.host.Real("/sys/module")))
	if blind == "" || cfg.Guard.Mode != config.GuardOff {
		log.Info("mounts: working on these files of the kernel")
		return
	}
	log.Info("mounts: working on these files of the kernel, only the resync finds what inotify cannot see",
		logging.String(systemd.KeyMissing, blind), logging.Duration("resync", cfg.Resync),
		logging.String(systemd.KeyHint, "guard: watch sees them at once"))
}

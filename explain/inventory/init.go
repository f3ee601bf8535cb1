package inventory

import (
	"path/filepath"
	"slices"
	"strings"
)

// initKind is the init system, as far as it decides which program reads sysctl files.
type initKind string

const (
	initSystemd initKind = "systemd"
	initScripts initKind = "rc.sysinit" // of CentOS 6
	initOpenRC  initKind = "OpenRC"
	initOpenWrt initKind = "procd" // of OpenWrt
	initUpstart initKind = "upstart"
	initOther   initKind = "init"
)

// initSystem returns the running init system, or else the one that is installed.
func (r *reader) initSystem() initKind {
	exists := func(paths ...string) bool { return slices.ContainsFunc(paths, r.tree.Exists) }
	switch {
	case exists("/run/systemd/system"):
		return initSystemd
	case exists("/etc/rc.d/rc.sysinit", "/etc/rc.sysinit"):
		return initScripts
	case exists("/sbin/openrc", "/usr/sbin/openrc", "/etc/runlevels"):
		return initOpenRC
	case exists("/etc/openwrt_release", "/sbin/procd"):
		return initOpenWrt
	case exists("/etc/runit/1", "/etc/runit/core-services"): // of Void Linux
		return initOther
	case exists("/usr/lib/systemd/systemd", "/lib/systemd/systemd"):
		return initSystemd
	case exists("/etc/init/procps.conf", "/etc/init/kmod.conf"): // of Ubuntu 14.04
		return initUpstart
	case exists("/etc/inittab", "/etc/rcS.d", "/etc/init.d/boot.sysctl"): // the last one of SLES 11
		return initOther
	}
	return initSystemd
}

// isEnabled reports whether the init system starts a service at boot. It is true if the tree has
// no directory that would show it.
func (r *reader) isEnabled(service string) bool {
	known := false
	wants, _ := r.tree.List("/etc/systemd/system")
	for _, dir := range wants {
		if strings.HasSuffix(dir, ".wants") {
			known = true
			if !r.tree.Gone(filepath.Join("/etc/systemd/system", dir, service+".service")) {
				return true
			}
		}
	}
	for _, dir := range []string{
		"/etc/rc3.d", "/etc/rc.d/rc3.d", "/etc/rc2.d", "/etc/runlevels/default", "/etc/runlevels/boot",
	} {
		names, err := r.tree.List(dir)
		known = known || err == nil && !r.inv.Systemd
		if slices.ContainsFunc(names, func(name string) bool {
			return name == service || len(name) > 3 && name[0] == 'S' && name[3:] == service
		}) {
			return true
		}
	}
	return !known
}

// isInRunlevel reports whether OpenRC starts a service when it boots. It is true if the tree has no
// directory that would show it.
func (r *reader) isInRunlevel(service string) bool {
	known := false
	for _, level := range []string{"boot", "sysinit"} {
		names, err := r.tree.List(filepath.Join("/etc/runlevels", level))
		known = known || err == nil
		if slices.Contains(names, service) {
			return true
		}
	}
	return !known
}

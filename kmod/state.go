package kmod

import (
	"errors"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

const sysModule = "/sys/module"

// Conntrack is the module that ctkeeper is about.
const Conntrack = "nf_conntrack"

// State says whether a module's code is in the kernel.
type State string

// The states of a module.
const (
	Loaded  State = "loaded"
	BuiltIn State = "built-in"
	Absent  State = "absent"
)

// Module is what one look found.
type Module struct {
	State State
	// Instance tells one load from the next: the inode number of the module's
	// directory in sysfs, which every load makes anew. 0 when absent.
	Instance uint64
	// Settling is true while the kernel is still loading or unloading it: look
	// again shortly.
	Settling bool
}

// Look tells the state of a module below root from /sys/module (the kernel's
// Documentation/ABI/testing/sysfs-module). A module in the kernel image has its
// parameters there and no initstate; one that is coming or going counts as
// absent until it is live. Where /sys/module cannot be seen at all, nf_conntrack counts
// as built in when its sysctl is there.
func Look(root, name string) Module {
	t := tree.At(root)
	dir := path.Join(sysModule, name)
	info, err := t.Stat(dir)
	if err != nil {
		if !t.Exists(sysModule) && t.Exists(path.Join("/proc/sys/net/netfilter", name+"_max")) {
			return Module{State: BuiltIn}
		}
		return Module{State: Absent}
	}
	instance := uint64(0)
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		instance = stat.Ino
	}
	initstate, err := readInitstate(t, path.Join(dir, "initstate"))
	switch {
	case errors.Is(err, os.ErrNotExist) && inImage(t, dir):
		return Module{State: BuiltIn, Instance: instance}
	case err == nil && strings.TrimSpace(string(initstate)) == "live":
		return Module{State: Loaded, Instance: instance}
	default: // coming, going, or gone while we looked (ENOENT, ENODEV)
		return Module{State: Absent, Settling: true}
	}
}

// readInitstate trusts the kernel's own file, and spares the running system what
// Tree.Read asks of it.
func readInitstate(t tree.Tree, file string) ([]byte, error) {
	if t.Live() {
		return os.ReadFile(file)
	}
	return t.Read(file, 4096)
}

// inImage reports whether a module without initstate is part of the kernel
// image. One that is coming or going has no initstate for a moment too, at the
// time of its remove uevent for one: but then its holders are made before its
// parameters, and go after them (mod_sysfs_setup, mod_sysfs_teardown).
func inImage(t tree.Tree, dir string) bool {
	there := func(name string) bool { return t.Exists(path.Join(dir, name)) }
	return !there("holders") && there("parameters") && !there("holders")
}

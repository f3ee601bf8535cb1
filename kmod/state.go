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

// Conntrack is the module whose settings ctkeeper owns.
const Conntrack = "nf_conntrack"

// State is whether a module's code is in the kernel.
type State string

// The states of a module.
const (
	Loaded  State = "loaded"
	BuiltIn State = "built-in"
	Absent  State = "absent"
)

// Module is a module as it was observed.
type Module struct {
	State State
	// Instance identifies one load: it is the inode number of the module's directory in sysfs, which
	// every load creates again. It is 0 when the module is absent.
	Instance uint64
	// InTransition is true while the kernel is still loading or unloading the module: observe it again
	// shortly.
	InTransition bool
}

// Observe reads the state of a module from /sys/module (the kernel's
// Documentation/ABI/testing/sysfs-module). A module in the kernel image has parameters there and no
// initstate. A module that is being loaded or unloaded is absent until it is live. If there is no
// /sys/module at all, nf_conntrack is built-in if its sysctl exists.
func Observe(t tree.Tree, name string) Module {
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
	case errors.Is(err, os.ErrNotExist) && isInImage(t, dir):
		return Module{State: BuiltIn, Instance: instance}
	case err == nil && strings.TrimSpace(string(initstate)) == "live":
		return Module{State: Loaded, Instance: instance}
	default: // coming, going, or unloaded between the two reads (ENOENT, ENODEV)
		return Module{State: Absent, InTransition: true}
	}
}

// readInitstate reads the file of the running kernel without the checks of Tree.Read, which cost more
// system calls.
func readInitstate(t tree.Tree, file string) ([]byte, error) {
	if t.Live() {
		return os.ReadFile(t.Real(file))
	}
	return t.Read(file, 4096)
}

// isInImage reports whether a module without initstate is part of the kernel image. A module that is
// being loaded or unloaded has no initstate for a moment either, for example at its remove uevent. But
// its holders directory is created before its parameters and removed after them (mod_sysfs_setup,
// mod_sysfs_teardown).
func isInImage(t tree.Tree, dir string) bool {
	has := func(name string) bool { return t.Exists(path.Join(dir, name)) }
	return !has("holders") && has("parameters") && !has("holders")
}

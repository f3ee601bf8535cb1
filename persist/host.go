package persist

import (
	"path/filepath"

	"github.com/ctkeeper/ctkeeper/host/meminfo"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// host is what the boot files depend on besides the configuration.
type host struct {
	// memory is MemTotal in bytes, or 0 if it is unknown.
	memory int64
	// builtIn is true if nf_conntrack is part of the kernel image.
	builtIn bool
	// parameters has the parameters of this kernel's module, nil if they are unknown; source is
	// where they were read.
	parameters map[string]bool
	source     string
	// types has the types of parameters in the kernel, as far as they are known.
	types map[string]string
	// protocolModules are the modules that bring the settings of the protocols, where nf_conntrack does not.
	protocolModules []string
	// systemdSysctl is the path of systemd-sysctl(8), or empty.
	systemdSysctl string
}

func systemdDirs() []string { return []string{"/usr/lib/systemd", "/lib/systemd"} }

// readHost reads what the boot files depend on from the tree.
func readHost(t tree.Tree) host {
	h := host{types: map[string]string{}}
	h.memory, _ = meminfo.Total(t) // if it is unknown, only the kernel checks the table sizes
	h.builtIn = isBuiltIn(t)
	h.parameters, h.source = kmod.ParameterNames(t, kmod.Conntrack)
	if release, err := kmod.Release(t); err == nil {
		h.readTypes(t, release)
		h.protocolModules = kmod.ProtocolModules(release)
	}
	for _, dir := range systemdDirs() {
		if path := filepath.Join(dir, "systemd-sysctl"); h.systemdSysctl == "" && t.Exists(path) {
			h.systemdSysctl = path
		}
	}
	return h
}

// readTypes reads the module file. The file also names the parameters that sysfs does not show,
// those with permissions 0000.
func (h *host) readTypes(t tree.Tree, release string) {
	index, err := kmod.ReadIndex(t, release)
	if err != nil || index.Path(kmod.Conntrack) == "" {
		return
	}
	info, err := kmod.ReadInfo(t, index.Path(kmod.Conntrack))
	if err != nil {
		return
	}
	for name, kind := range info.Parameters {
		h.types[name] = kind
		if h.parameters != nil {
			h.parameters[name] = true
		}
	}
}

// isBuiltIn reports whether nf_conntrack is part of the image of the running kernel or, for a tree
// that is not running, of every installed kernel.
func isBuiltIn(t tree.Tree) bool {
	switch kmod.Observe(t, kmod.Conntrack).State {
	case kmod.BuiltIn:
		return true
	case kmod.Loaded:
		return false
	}
	found := false
	for _, release := range kmod.Releases(t) {
		index, err := kmod.ReadIndex(t, release)
		if err != nil {
			continue
		}
		if !index.BuiltIn[kmod.Conntrack] {
			return false
		}
		found = true
	}
	return found
}

// hasParameter reports whether this kernel's module has a parameter. Every kernel has hashsize, though
// no modinfo names it (module_param_call makes no entry there). If the parameters are unknown, it
// reports those that every kernel has.
func (h host) hasParameter(name string) bool {
	switch {
	case name == sysfs.Hashsize:
		return true
	case h.parameters != nil:
		return h.parameters[name]
	}
	return name == sysfs.ExpectHashsize || name == "acct" || name == "tstamp"
}

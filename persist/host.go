package persist

import (
	"path/filepath"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
)

// host is what the files depend on besides the configuration.
type host struct {
	// memory is MemTotal in bytes, 0 where it is not known.
	memory int64
	// builtIn is true where nf_conntrack is part of the kernel image.
	builtIn bool
	// parameters names what this kernel's module takes, nil where that cannot be told;
	// from is where it was read.
	parameters map[string]bool
	from       string
	// types has the parameters' types in the kernel, as far as they are known.
	types map[string]string
	// systemdSysctl is the path of systemd-sysctl(8), or empty.
	systemdSysctl string
}

func systemdDirs() []string { return []string{"/usr/lib/systemd", "/lib/systemd"} }

// look takes the facts from the tree.
func look(t tree.Tree) host {
	h := host{types: map[string]string{}}
	h.memory, _ = config.TotalMemory(t) // without it the kernel has the last word
	h.builtIn = builtIn(t)
	h.parameters, h.from = kmod.Parameters(t, kmod.Conntrack)
	if release, err := kmod.Release(t); err == nil {
		h.readTypes(t, release)
	}
	for _, dir := range systemdDirs() {
		if path := filepath.Join(dir, "systemd-sysctl"); h.systemdSysctl == "" && t.Exists(path) {
			h.systemdSysctl = path
		}
	}
	return h
}

// readTypes asks the module's file. It also names what sysfs does not show: a parameter
// without any permission.
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

// builtIn reports whether nf_conntrack is in the kernel image: of the running
// kernel, and on a disk of every kernel that is installed.
func builtIn(t tree.Tree) bool {
	switch kmod.Look(t.Root(), kmod.Conntrack).State {
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

// takes reports whether this kernel's module has a parameter. hashsize is in every
// kernel, and no modinfo names it (module_param_call makes no entry there). Where
// nothing can be told, the parameters that all kernels have are taken.
func (h host) takes(name string) bool {
	switch {
	case name == hashsize:
		return true
	case h.parameters != nil:
		return h.parameters[name]
	}
	return name == expectHashsize || name == "acct" || name == "tstamp"
}

// ownBuckets is the most buckets that any kernel chooses by itself with that much memory
// (nf_conntrack_init_start). Where the memory is not known it is the most of all.
func (h host) ownBuckets() int64 {
	const gib = 1 << 30
	switch {
	case h.memory > 4*gib, h.memory == 0:
		return 262144
	case h.memory > gib:
		return 65536
	}
	return max(1024, h.memory/16384/bucketBytes)
}

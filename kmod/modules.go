package kmod

import "github.com/ctkeeper/ctkeeper/tree"

// Listed is one line of /proc/modules (m_show in kernel/module/procfs.c).
type Listed struct {
	Name string
	// Size is in bytes.
	Size int64
	// Uses counts references: of the modules in UsedBy, and of rules and sockets.
	// -1 for a kernel that cannot unload.
	Uses   int
	UsedBy []string
	// State is Live, Loading or Unloading.
	State string
}

// ReadModules reads /proc/modules. Lines that make no sense are left out.
func ReadModules(t tree.Tree) ([]Listed, error) { return nil, nil }

// ParseModules reads the text of /proc/modules.
func ParseModules(text []byte) []Listed { return nil }

// Users gives the modules that use the named one, directly or through others, in
// an order in which they can be unloaded.
func Users(modules []Listed, name string) []string { return nil }

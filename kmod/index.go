package kmod

import "github.com/ctkeeper/ctkeeper/tree"

// Release is the running kernel's release (uname -r), from /proc/sys/kernel/osrelease.
func Release(t tree.Tree) (string, error) { return "", nil }

// Installed gives the releases that have a directory with modules.dep below
// /lib/modules or /usr/lib/modules, sorted.
func Installed(t tree.Tree) []string { return nil }

// Index is what depmod(8) wrote for one kernel release.
type Index struct {
	// Dir is the release's directory.
	Dir string
	// Files has each module's file by its name, relative to Dir, from modules.dep.
	Files map[string]string
	// Depends has each module's dependencies by name, all of them, the first to be
	// loaded last, as modules.dep has them.
	Depends map[string][]string
	// BuiltIn has the modules of the kernel image, from modules.builtin.
	BuiltIn map[string]bool
	// Softdeps has "pre: a b post: c" of modules.softdep by module.
	Softdeps map[string]string
	Troubles []tree.Trouble
}

// ReadIndex reads modules.dep, modules.builtin and modules.softdep of a release. A
// directory that is not there is an error, fs.ErrNotExist.
func ReadIndex(t tree.Tree, release string) (Index, error) { return Index{}, nil }

// Path is where a module's file should be, by modules.dep, or "".
func (x Index) Path(module string) string { return "" }

package rig

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// rootSuite is the same for every kernel: one user space, several kernels.
const rootSuite = "bookworm"

var rootPackages = []string{
	"systemd", "systemd-sysv", "udev", "kmod", "dbus",
	"iproute2", "iptables", "nftables", "conntrack", "procps",
}

// rootWithout are patterns of files that are left out of a root: no scenario needs them, and an emulated processor
// would have to unpack them.
var rootWithout = []string{
	"usr/lib/udev/hwdb*", "usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "usr/share/zoneinfo",
	"usr/lib/x86_64-linux-gnu/gconv", "usr/share/i18n", "usr/share/bash-completion",
	"var/lib/apt/lists", "var/cache/apt", "boot/*",
}

// perl is left out of a root without further packages, which may need it.
var perl = []string{
	"usr/lib/x86_64-linux-gnu/perl*", "usr/lib/x86_64-linux-gnu/libperl*", "usr/bin/perl*", "usr/share/perl*",
}

// A Root is what a machine has beyond the packages that every machine has.
type Root struct {
	Packages []string
	// Disable are units of the packages that do not start at boot.
	Disable []string
	// Memory is the machine's, in MiB. 0 is what is enough without further packages.
	Memory int
}

// smallMemory is enough for a root without further packages, in MiB.
const smallMemory = 2560

// rootRecipe changes when buildRoot makes something else of the same packages.
const rootRecipe = "4 minbase newc by cpio"

// without returns the patterns of the files that are left out.
func (r Root) without() []string {
	if len(r.Packages) > 0 {
		return rootWithout
	}
	return append(perl, rootWithout...)
}

// prepare returns the archive of the Debian root, from the cache or new.
func (r Root) prepare(c Cache) (archive string, err error) {
	s, err := openSuite(c, rootSuite)
	if err != nil {
		return "", err
	}
	release, err := s.release()
	if err != nil {
		return "", err
	}
	packages := append(slices.Clip(rootPackages), r.Packages...)
	recipe := strings.Join([]string{
		rootRecipe, strings.Join(packages, " "), strings.Join(r.Disable, " "), strings.Join(r.without(), " "),
	}, "\n")
	dir, err := c.Entry("root", release, recipe, func(dir string) error {
		return r.build(s, packages, dir)
	})
	return filepath.Join(dir, "root.cpio"), err
}

func (r Root) build(s *suite, packages []string, dir string) error {
	tree := filepath.Join(dir, "tree")
	defer os.RemoveAll(tree)
	if err := s.bootstrap(tree, packages); err != nil {
		return err
	}
	if len(r.Disable) > 0 {
		disable := append([]string{"--quiet", "--root=" + tree, "disable"}, r.Disable...)
		if _, err := output("systemctl", disable...); err != nil {
			return err
		}
	}
	for _, pattern := range r.without() {
		matches, err := filepath.Glob(filepath.Join(tree, pattern))
		if err != nil {
			return err
		}
		for _, match := range matches {
			if err := os.RemoveAll(match); err != nil {
				return err
			}
		}
	}
	return writeArchive(tree, filepath.Join(dir, "root.cpio"))
}

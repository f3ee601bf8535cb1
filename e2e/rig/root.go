package rig

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// rootSuite is the same for every kernel: one user space, several kernels.
const rootSuite = "bookworm"

var rootPackages = []string{
	"systemd", "systemd-sysv", "udev", "kmod", "dbus",
	"iproute2", "iptables", "nftables", "conntrack", "procps",
}

// rootWithout are patterns of files that are left out of the root: no scenario needs them, and an emulated processor
// would have to unpack them.
var rootWithout = []string{
	"usr/lib/udev/hwdb*", "usr/lib/x86_64-linux-gnu/perl*", "usr/lib/x86_64-linux-gnu/libperl*", "usr/bin/perl*",
	"usr/share/perl*", "usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "usr/share/zoneinfo",
	"usr/lib/x86_64-linux-gnu/gconv", "usr/share/i18n", "usr/share/bash-completion",
	"var/lib/apt/lists", "var/cache/apt", "boot/*",
}

// rootRecipe changes when buildRoot makes something else of the same packages.
const rootRecipe = "4 minbase newc by cpio"

// prepareRoot returns the archive of the Debian root, from the cache or new.
func prepareRoot(c Cache) (archive string, err error) {
	s, err := openSuite(c, rootSuite)
	if err != nil {
		return "", err
	}
	// base-files has the point release; systemd is the package that the scenarios depend on most.
	base, err := s.version("base-files")
	if err != nil {
		return "", err
	}
	systemd, err := s.version("systemd")
	if err != nil {
		return "", err
	}
	recipe := strings.Join([]string{rootRecipe, strings.Join(rootPackages, " "), strings.Join(rootWithout, " ")}, "\n")
	dir, err := c.Entry("root", base+"-"+systemd, recipe, func(dir string) error { return buildRoot(s.mirror, dir) })
	return filepath.Join(dir, "root.cpio"), err
}

func buildRoot(mirror, dir string) error {
	tree := filepath.Join(dir, "tree")
	defer os.RemoveAll(tree)
	_, err := output("mmdebstrap", "--quiet", "--variant=minbase", "--architectures=amd64", "--format=directory",
		"--include="+strings.Join(rootPackages, ","), "--keyring="+keyring, rootSuite, tree, mirror)
	if err != nil {
		return fmt.Errorf("cannot build a %s root: %w", rootSuite, err)
	}
	for _, pattern := range rootWithout {
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

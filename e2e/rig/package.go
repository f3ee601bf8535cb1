package rig

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// ArchiveDir is where a guest finds an archive of packages for its apt: the
// package that the kernel's conntrack modules come from, as a network would offer it.
const ArchiveDir = GuestDir + "/archive"

// AptSource is the guest's /etc/apt/sources.list.
const AptSource = "deb [trusted=yes] file:" + ArchiveDir + " ./\n"

// packaged are the folders of modules that the guest's package of the kernel
// has: what a scenario may break. The whole package would take an emulated
// processor minutes to unpack.
var packaged = []string{"kernel/net/netfilter", "kernel/net/ipv4/netfilter", "kernel/net/ipv6/netfilter", "kernel/lib/libcrc32c"}

// depmodScript does what the triggers of Debian's kernel packages do.
const depmodScript = "#!/bin/sh\nset -e\ndepmod %s\n"

// repack makes an archive of the package that has the conntrack modules: the
// real package's name, version and files, without what it depends on.
func repack(debs []string, to string) error {
	for _, deb := range debs {
		files, err := output("dpkg-deb", "-c", deb)
		if err != nil {
			return err
		}
		if strings.Contains(files, "net/netfilter/nf_conntrack.ko") {
			return repackOne(deb, to)
		}
	}
	return fmt.Errorf("no package has nf_conntrack.ko (%w)", errNotInArchive)
}

func repackOne(deb, to string) error {
	work := to + ".work"
	defer os.RemoveAll(work)
	whole, part := filepath.Join(work, "whole"), filepath.Join(work, "part")
	if err := os.MkdirAll(whole, 0o755); err != nil {
		return err
	}
	if _, err := output("dpkg-deb", "-x", deb, whole); err != nil {
		return err
	}
	trees, _ := filepath.Glob(filepath.Join(whole, "lib/modules/*"))
	merged, _ := filepath.Glob(filepath.Join(whole, "usr/lib/modules/*"))
	if trees = append(trees, merged...); len(trees) != 1 {
		return fmt.Errorf("want one module tree in the package, have %v", trees)
	}
	for _, folder := range packaged {
		from := filepath.Join(trees[0], folder)
		target, _ := filepath.Rel(whole, from)
		if err := moveFolder(from, filepath.Join(part, target)); err != nil {
			return err
		}
	}
	control, err := output("dpkg-deb", "-f", deb, "Package", "Version", "Architecture", "Maintainer", "Description")
	if err != nil {
		return err
	}
	scripts := filepath.Join(part, "DEBIAN")
	err = errors.Join(os.MkdirAll(scripts, 0o755), os.MkdirAll(to, 0o755),
		os.WriteFile(filepath.Join(scripts, "control"), []byte(control), 0o644),
		os.WriteFile(filepath.Join(scripts, "postinst"), fmt.Appendf(nil, depmodScript, filepath.Base(trees[0])), 0o755))
	if err != nil {
		return err
	}
	name := "conntrack-modules.deb"
	if _, err := output("dpkg-deb", "--root-owner-group", "-Zgzip", "-b", part, filepath.Join(to, name)); err != nil {
		return err
	}
	return packagesFile(to, name, control)
}

// packagesFile writes the index of a flat repository (sources.list(5)).
func packagesFile(dir, name, control string) error {
	info, err := os.Stat(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	sum, err := fileSum(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	index := fmt.Sprintf("%s\nFilename: ./%s\nSize: %d\nSHA256: %s\n", strings.TrimSpace(control), name, info.Size(), sum)
	return os.WriteFile(filepath.Join(dir, "Packages"), []byte(index), 0o644)
}

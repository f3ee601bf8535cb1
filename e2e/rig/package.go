package rig

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// ArchiveDir is the guest's directory of packages for its apt. It has the package with the kernel's conntrack
// modules, as an archive on the network would.
const ArchiveDir = GuestDir + "/archive"

// AptSource is the guest's /etc/apt/sources.list.
const AptSource = "deb [trusted=yes] file:" + ArchiveDir + " ./\n"

// packagedFolders are the folders of modules in the guest's package of the kernel: those that a scenario may break.
// An emulated processor would need minutes to unpack the whole package.
var packagedFolders = []string{
	"kernel/net/netfilter", "kernel/net/ipv4/netfilter", "kernel/net/ipv6/netfilter", "kernel/lib/libcrc32c",
}

// depmodScript does what the triggers of Debian's kernel packages do.
const depmodScript = "#!/bin/sh\nset -e\ndepmod %s\n"

// repack makes an archive of the package with the conntrack modules. It keeps the name, version and files of the real
// package, without its dependencies.
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
	tree, err := findModuleTree(whole)
	if err != nil {
		return err
	}
	for _, folder := range packagedFolders {
		from := filepath.Join(tree, folder)
		target, _ := filepath.Rel(whole, from)
		if err := moveFiles(from, filepath.Join(part, target)); err != nil {
			return err
		}
	}
	control, err := output("dpkg-deb", "-f", deb, "Package", "Version", "Architecture", "Maintainer", "Description")
	if err != nil {
		return err
	}
	postinst := filepath.Join(part, "DEBIAN/postinst")
	err = errors.Join(os.MkdirAll(to, 0o755), writeFile(filepath.Join(part, "DEBIAN/control"), control),
		writeFile(postinst, fmt.Sprintf(depmodScript, filepath.Base(tree))), os.Chmod(postinst, 0o755))
	if err != nil {
		return err
	}
	archive := filepath.Join(to, "conntrack-modules.deb")
	if _, err := output("dpkg-deb", "--root-owner-group", "-Zgzip", "-b", part, archive); err != nil {
		return err
	}
	return WriteIndex(to)
}

// WriteIndex writes the index of a directory of packages, which makes it a flat repository (sources.list(5)).
func WriteIndex(dir string) error {
	debs, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil {
		return err
	}
	var index strings.Builder
	for _, deb := range debs {
		control, err := output("dpkg-deb", "-f", deb)
		if err != nil {
			return err
		}
		info, err := os.Stat(deb)
		if err != nil {
			return err
		}
		sum, err := fileSum(deb)
		if err != nil {
			return err
		}
		fmt.Fprintf(&index, "%s\nFilename: ./%s\nSize: %d\nSHA256: %s\n\n",
			strings.TrimSpace(control), filepath.Base(deb), info.Size(), sum)
	}
	return writeFile(filepath.Join(dir, "Packages"), index.String())
}

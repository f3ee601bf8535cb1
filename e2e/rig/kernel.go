package rig

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// suiteOf says which Debian suite has which kernel.
var suiteOf = map[string]string{"5.10": "bullseye", "6.1": "bookworm", "6.12": "trixie", "sid": "sid"}

// kernelPackage is Debian's kernel for virtual machines: serial console and all
// that this rig needs built in, conntrack as modules as on any Debian host.
const kernelPackage = "linux-image-cloud-amd64"

// kernelParts are the packages a kernel can be split into; since 7.x the image
// package only pulls in the others. The base has modules.builtin.
var kernelParts = []string{"linux-image-", "linux-binary-", "linux-modules-", "linux-base-"}

// moduleFolders are the modules that scenarios can need. The rest is left out:
// every megabyte is unpacked by an emulated processor.
var moduleFolders = []string{
	"kernel/net", "kernel/lib", "kernel/crypto", "kernel/arch/x86/crypto",
	"kernel/drivers/net/dummy", "kernel/drivers/net/veth", "kernel/drivers/net/ifb", "kernel/drivers/net/net_failover",
}

const kernelRecipe = "4 newc uncompressed depmod-of-root package"

// A Kernel is a bootable image and its modules as an archive.
type Kernel struct {
	Name    string // as asked for: 5.10, 6.1, 6.12, sid
	Version string // of the package
	Image   string
	Modules string
	// Archive is a directory with the package that the conntrack modules come from,
	// for ArchiveDir.
	Archive string
}

// PrepareKernel fetches and unpacks a kernel, or takes it from the cache.
func PrepareKernel(c Cache, name string, root Root) (Kernel, error) {
	suiteName, ok := suiteOf[name]
	if !ok {
		return Kernel{}, fmt.Errorf("unknown KERNEL=%s (5.10, 6.1, 6.12, sid)", name)
	}
	s, err := openSuite(c, suiteName)
	if err != nil {
		return Kernel{}, err
	}
	meta, err := s.show(kernelPackage)
	if err != nil {
		return Kernel{}, err
	}
	recipe := kernelRecipe + strings.Join(moduleFolders, " ") + strings.Join(packaged, " ") + depmodScript
	dir, err := c.Entry("kernel-"+name, meta["Version"], recipe, func(dir string) error {
		return buildKernel(s, meta, dir, root)
	})
	return Kernel{name, meta["Version"], filepath.Join(dir, "vmlinuz"), filepath.Join(dir, "modules.cpio"), filepath.Join(dir, "archive")}, err
}

func buildKernel(s *suite, meta map[string]string, dir string, root Root) error {
	packages, err := kernelPackages(s, meta)
	if err != nil {
		return err
	}
	work := filepath.Join(dir, "work")
	tree := filepath.Join(work, "tree")
	if err := os.MkdirAll(tree, 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if _, err := s.apt(work, "apt-get", append([]string{"-q", "download"}, packages...)...); err != nil {
		return err
	}
	debs, _ := filepath.Glob(filepath.Join(work, "*.deb"))
	for _, deb := range debs {
		if _, err := output("dpkg-deb", "-x", deb, tree); err != nil {
			return err
		}
	}
	if err := repack(debs, filepath.Join(dir, "archive")); err != nil {
		return err
	}
	if err := kernelImage(tree, filepath.Join(dir, "vmlinuz")); err != nil {
		return err
	}
	return kernelModules(tree, filepath.Join(dir, "modules.cpio"), root)
}

// kernelPackages follows the dependencies of the meta package to the packages
// that have files.
func kernelPackages(s *suite, meta map[string]string) ([]string, error) {
	var found []string
	queue := kernelDepends(meta["Depends"])
	for len(queue) > 0 {
		pkg := queue[0]
		queue = queue[1:]
		if slices.Contains(found, pkg) {
			continue
		}
		found = append(found, pkg)
		fields, err := s.show(pkg)
		if err != nil {
			return nil, err
		}
		queue = append(queue, kernelDepends(fields["Depends"])...)
	}
	return found, nil
}

func kernelDepends(depends string) []string {
	var names []string
	for dep := range strings.SplitSeq(depends, ",") {
		name, _, _ := strings.Cut(strings.TrimSpace(dep), " ")
		if slices.ContainsFunc(kernelParts, func(p string) bool { return strings.HasPrefix(name, p) }) {
			names = append(names, name)
		}
	}
	return names
}

func kernelImage(tree, to string) error {
	for _, pattern := range []string{"boot/vmlinuz-*", "usr/lib/modules/*/vmlinuz", "lib/modules/*/vmlinuz"} {
		if images, _ := filepath.Glob(filepath.Join(tree, pattern)); len(images) == 1 {
			return os.Rename(images[0], to)
		}
	}
	return fmt.Errorf("no kernel image in the packages (%w)", errNotInArchive)
}

func kernelModules(tree, to string, root Root) error {
	dirs, _ := filepath.Glob(filepath.Join(tree, "usr/lib/modules/*"))
	old, _ := filepath.Glob(filepath.Join(tree, "lib/modules/*"))
	if dirs = append(dirs, old...); len(dirs) != 1 {
		return fmt.Errorf("want one module tree in the packages, have %v", dirs)
	}
	from, release := dirs[0], filepath.Base(dirs[0])
	// depmod -b looks in lib/modules below its base.
	base := filepath.Join(filepath.Dir(tree), "kept")
	kept := filepath.Join(base, "lib/modules", release)
	if err := os.MkdirAll(kept, 0o755); err != nil {
		return err
	}
	lists, _ := filepath.Glob(filepath.Join(from, "modules.*"))
	for _, file := range lists {
		if err := os.Rename(file, filepath.Join(kept, filepath.Base(file))); err != nil {
			return err
		}
	}
	for _, folder := range moduleFolders {
		if err := moveFolder(filepath.Join(from, folder), filepath.Join(kept, folder)); err != nil {
			return err
		}
	}
	if err := root.depmod(base, release); err != nil {
		return err
	}
	return writeArchive(to, func(a *Archive) error { return a.Tree(kept, "usr/lib/modules/"+release) })
}

// moveFolder moves a module folder, or one module when there is no such folder.
func moveFolder(from, to string) error {
	matches, _ := filepath.Glob(from + "*")
	for _, match := range matches {
		target := filepath.Join(filepath.Dir(to), filepath.Base(match))
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		if err := os.Rename(match, target); err != nil {
			return err
		}
	}
	return nil
}

func writeArchive(file string, fill func(*Archive) error) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer f.Close()
	a := NewArchive(f)
	if err := fill(a); err != nil {
		return err
	}
	if err := a.Close(); err != nil {
		return err
	}
	return f.Close()
}

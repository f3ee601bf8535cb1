package rig

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// suiteOf names the Debian suite of each kernel.
var suiteOf = map[string]string{"5.10": "bullseye", "6.1": "bookworm", "6.12": "trixie", "sid": "sid"}

// kernelPackage is Debian's kernel for virtual machines. The serial console and everything else that the rig needs is
// built in; conntrack is a set of modules, as on any Debian host.
const kernelPackage = "linux-image-cloud-amd64"

// kernelParts are the prefixes of the packages with a kernel's files. Since 7.x the image package only depends on the
// others, and the base package has modules.builtin.
var kernelParts = []string{"linux-image-", "linux-binary-", "linux-modules-", "linux-base-"}

// moduleFolders are the modules that scenarios can need. The rest is left out: an emulated processor has to unpack
// every megabyte.
var moduleFolders = []string{
	"kernel/net", "kernel/lib", "kernel/crypto", "kernel/arch/x86/crypto",
	"kernel/drivers/net/dummy", "kernel/drivers/net/veth", "kernel/drivers/net/ifb", "kernel/drivers/net/net_failover",
}

// kernelRecipe changes when buildKernel makes something else of the same packages.
const kernelRecipe = "5 newc by cpio, depmod of the host"

// A Kernel is a bootable image and the archive of its modules.
type Kernel struct {
	Name    string // 5.10, 6.1, 6.12 or sid
	Version string // of the package
	Image   string
	Modules string
	// Archive is a directory with the package that has the conntrack modules: see ArchiveDir.
	Archive string
}

// prepareKernel returns a kernel, from the cache or new.
func prepareKernel(c Cache, name string) (Kernel, error) {
	suiteName, ok := suiteOf[name]
	if !ok {
		return Kernel{}, fmt.Errorf("unknown KERNEL=%s (5.10, 6.1, 6.12, sid)", name)
	}
	s, err := openSuite(c, suiteName)
	if err != nil {
		return Kernel{}, err
	}
	version, err := s.version(kernelPackage)
	if err != nil {
		return Kernel{}, err
	}
	recipe := kernelRecipe + strings.Join(moduleFolders, " ") + strings.Join(packagedFolders, " ") + depmodScript
	dir, err := c.Entry("kernel-"+name, version, recipe, func(dir string) error { return buildKernel(s, dir) })
	return Kernel{
		Name: name, Version: version, Image: filepath.Join(dir, "vmlinuz"),
		Modules: filepath.Join(dir, "modules.cpio"), Archive: filepath.Join(dir, "archive"),
	}, err
}

func buildKernel(s *suite, dir string) error {
	packages, err := s.dependencies(kernelPackage)
	if err != nil {
		return err
	}
	packages = slices.DeleteFunc(packages, func(name string) bool {
		return name == kernelPackage ||
			!slices.ContainsFunc(kernelParts, func(part string) bool { return strings.HasPrefix(name, part) })
	})
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
	return errors.Join(repack(debs, filepath.Join(dir, "archive")), moveImage(tree, filepath.Join(dir, "vmlinuz")),
		archiveModules(tree, filepath.Join(dir, "modules.cpio")))
}

func moveImage(tree, to string) error {
	for _, pattern := range []string{"boot/vmlinuz-*", "usr/lib/modules/*/vmlinuz", "lib/modules/*/vmlinuz"} {
		if images, _ := filepath.Glob(filepath.Join(tree, pattern)); len(images) == 1 {
			return os.Rename(images[0], to)
		}
	}
	return fmt.Errorf("no kernel image in the packages (%w)", errNotInArchive)
}

// findModuleTree returns the directory of a kernel's modules in the files of its packages.
func findModuleTree(tree string) (string, error) {
	dirs, _ := filepath.Glob(filepath.Join(tree, "usr/lib/modules/*"))
	old, _ := filepath.Glob(filepath.Join(tree, "lib/modules/*"))
	if dirs = append(dirs, old...); len(dirs) != 1 {
		return "", fmt.Errorf("want one module tree in %s, have %v", tree, dirs)
	}
	return dirs[0], nil
}

// archiveModules archives moduleFolders below usr/lib/modules, with lists of dependencies for them alone.
func archiveModules(tree, to string) error {
	from, err := findModuleTree(tree)
	if err != nil {
		return err
	}
	release := filepath.Base(from)
	base := filepath.Join(filepath.Dir(tree), "kept")
	kept := filepath.Join(base, "usr/lib/modules", release)
	for _, pattern := range append([]string{"modules."}, moduleFolders...) {
		if err := moveFiles(filepath.Join(from, pattern), filepath.Join(kept, pattern)); err != nil {
			return err
		}
	}
	// depmod -b reads lib/modules below its base.
	lib := filepath.Join(base, "lib")
	if err := os.Symlink("usr/lib", lib); err != nil {
		return err
	}
	if _, err := output("depmod", "-b", base, release); err != nil {
		return err
	}
	if err := os.Remove(lib); err != nil {
		return err
	}
	return writeArchive(base, to)
}

// moveFiles moves what has a name that begins as from: a folder of modules, or a module alone.
func moveFiles(from, to string) error {
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

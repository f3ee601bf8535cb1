package picture

import (
	"errors"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
)

// Kernel is one kernel release and its modules on the disk.
type Kernel struct {
	Release string
	// Index is what depmod wrote; Err says why there is none, fs.ErrNotExist where
	// the release has no directory.
	Index kmod.Index
	Err   error
	// Files are the files of the modules that conntrack consists of, by name.
	Files map[string]File
}

// File is a module's file.
type File struct {
	// Path is where modules.dep has it, or where it was found without.
	Path string
	// Listed is true where modules.dep knows it, Found where the file is there.
	Listed, Found bool
	Info          kmod.Info
	// Err says why Info could not be read.
	Err error
}

// LoadPolicy decide which module files the kernel takes, and whether it takes any.
type LoadPolicy struct {
	// Disabled is kernel.modules_disabled: no module is loaded until the next boot.
	Disabled bool
	// Enforced are the places that demand a valid signature: module.sig_enforce, a
	// lockdown. Empty where a module without one is taken.
	Enforced []finding.Evidence
	// SecureBoot is true where the firmware only starts signed systems.
	SecureBoot bool
}

// moduleDirs is where the module's files are looked for beside modules.dep: those that
// conntrack and the rules about it consist of, with their directories in the
// kernel's tree.
func moduleDirs() map[string]string {
	return map[string]string{
		"nf_conntrack":         "kernel/net/netfilter",
		"nf_defrag_ipv4":       "kernel/net/ipv4/netfilter",
		"nf_defrag_ipv6":       "kernel/net/ipv6/netfilter",
		"nf_conntrack_netlink": "kernel/net/netfilter",
		"nf_nat":               "kernel/net/netfilter",
		"nft_ct":               "kernel/net/netfilter",
		"xt_conntrack":         "kernel/net/netfilter",
		"xt_state":             "kernel/net/netfilter",
		"libcrc32c":            "kernel/lib",
	}
}

// readKernel reads one release's modules.
func readKernel(t tree.Tree, release string, needed []string) Kernel {
	k := Kernel{Release: release, Files: map[string]File{}}
	k.Index, k.Err = kmod.ReadIndex(t, release)
	dir := k.Index.Dir
	if dir == "" {
		dir = findModuleDir(t, release)
	}
	names := map[string]bool{}
	for _, name := range append(slices.Sorted(maps.Keys(moduleDirs())), needed...) {
		names[name] = true
		for _, dep := range k.Index.Depends[name] {
			names[dep] = true
		}
	}
	for name := range names {
		if !k.Index.BuiltIn[name] {
			if f := readFile(t, k.Index, dir, name); f.Path != "" {
				k.Files[name] = f
			}
		}
	}
	return k
}

// readFile finds a module's file and reads what it says about itself.
func readFile(t tree.Tree, index kmod.Index, dir, name string) File {
	f := File{Path: index.Path(name)}
	f.Listed = f.Path != ""
	if !f.Listed {
		f.Path = findUnlisted(t, dir, name)
	}
	if f.Path == "" || t.Gone(f.Path) {
		return f
	}
	f.Info, f.Err = kmod.ReadInfo(t, f.Path)
	f.Found = !errors.Is(f.Err, fs.ErrNotExist)
	return f
}

// findUnlisted finds a module's file that modules.dep does not know, where the
// kernel's build puts it; "" where there is none.
func findUnlisted(t tree.Tree, dir, name string) string {
	below, known := moduleDirs()[name]
	if !known || dir == "" {
		return ""
	}
	for _, suffix := range []string{".ko", ".ko.xz", ".ko.zst", ".ko.gz"} {
		if file := path.Join(dir, below, name+suffix); t.Exists(file) {
			return file
		}
	}
	return ""
}

// findModuleDir is where a release's modules are; "" where there is no directory.
func findModuleDir(t tree.Tree, release string) string {
	for _, dir := range []string{"/lib/modules", "/usr/lib/modules"} {
		if dir = path.Join(dir, release); release != "" && t.Exists(dir) {
			return dir
		}
	}
	return ""
}

// readLoadPolicy reads what decides whether the kernel takes a module.
func readLoadPolicy(t tree.Tree, line kmod.CommandLine) LoadPolicy {
	var g LoadPolicy
	text := func(file string) string {
		data, err := t.Read(file, 4096)
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(data))
	}
	g.Disabled = text(ModulesDisabledFile) == "1"
	if state := text(LockdownFile); strings.Contains(state, "[integrity]") || strings.Contains(state, "[confidentiality]") {
		g.Enforced = append(g.Enforced, finding.Seen(LockdownFile, 0, state))
	}
	const enforce = "/sys/module/module/parameters/sig_enforce"
	if state := text(enforce); state == "Y" || state == "1" {
		g.Enforced = append(g.Enforced, finding.Seen(enforce, 0, state))
	}
	if word, ok := line.Value("module.sig_enforce"); ok && word != "0" && word != "n" && word != "N" {
		g.Enforced = append(g.Enforced, finding.Seen(CommandLineFile, 0, "module.sig_enforce"))
	}
	g.SecureBoot = hasSecureBoot(t)
	return g
}

// hasSecureBoot reads the firmware's variable: four bytes of attributes, then the value
// (Documentation/filesystems/efivarfs.rst).
func hasSecureBoot(t tree.Tree) bool {
	data, err := t.Read("/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c", 4096)
	return err == nil && len(data) == 5 && data[4] == 1
}

const CommandLineFile = "/proc/cmdline"

const ModulesDisabledFile = "/proc/sys/kernel/modules_disabled"

// IsGone reports whether a release has no modules at all; a directory may be left.
func (k Kernel) IsGone() bool {
	found := false
	for _, f := range k.Files {
		found = found || f.Found
	}
	return errors.Is(k.Err, fs.ErrNotExist) || !found && len(k.Index.Files) == 0
}

// Dependencies are the modules that a module needs, by modules.dep and by the file
// itself, sorted.
func (k Kernel) Dependencies(module string) []string {
	names := slices.Concat(k.Index.Depends[module], k.Files[module].Info.Depends)
	slices.Sort(names)
	return slices.Compact(names)
}

// Missing are those of the modules that have no file and are not in the image.
func (k Kernel) Missing(modules []string) []string {
	return slices.DeleteFunc(slices.Clone(modules), func(name string) bool { return k.Index.BuiltIn[name] || k.Files[name].Found })
}

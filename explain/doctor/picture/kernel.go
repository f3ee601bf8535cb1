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
	// Index is what depmod wrote. Err is why there is none: fs.ErrNotExist where the release has no
	// directory.
	Index kmod.Index
	Err   error
	// Files are the files of conntrack's modules, and of those that the rules need, by module name.
	Files map[string]ModuleFile
}

// ModuleFile is a module's file.
type ModuleFile struct {
	// Path is from modules.dep, or where the file was found without it.
	Path string
	// Listed is true where modules.dep lists it; Found where the file exists.
	Listed, Found bool
	Info          kmod.Info
	// Err is why Info could not be read.
	Err error
}

// LoadPolicy is which module files the kernel loads.
type LoadPolicy struct {
	// Disabled is kernel.modules_disabled: no module can be loaded until the next boot.
	Disabled bool
	// Enforced is what makes a valid signature necessary: module.sig_enforce, or a lockdown. It is
	// empty where the kernel loads unsigned modules.
	Enforced []finding.Evidence
	// SecureBoot is true where the firmware starts signed systems only.
	SecureBoot bool
}

// moduleDirs returns where the kernel's build puts the modules of conntrack and of the rules about it.
// They are looked for there when modules.dep does not list them.
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

// readKernel reads the modules of a release, the needed ones too.
func readKernel(t tree.Tree, release string, needed []string) Kernel {
	k := Kernel{Release: release, Files: map[string]ModuleFile{}}
	k.Index, k.Err = kmod.ReadIndex(t, release)
	dir := k.Index.Dir
	if dir == "" {
		dir = findModuleDir(t, release)
	}
	for _, module := range append(slices.Collect(maps.Keys(moduleDirs())), needed...) {
		for _, name := range append(slices.Clone(k.Index.Depends[module]), module) {
			if _, done := k.Files[name]; done || k.Index.BuiltIn[name] {
				continue
			}
			if f := readFile(t, k.Index, dir, name); f.Path != "" {
				k.Files[name] = f
			}
		}
	}
	return k
}

// readFile finds a module's file and reads its description.
func readFile(t tree.Tree, index kmod.Index, dir, name string) ModuleFile {
	f := ModuleFile{Path: index.Path(name)}
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

// findUnlisted returns the file of a module that modules.dep does not list; "" where there is none.
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

// findModuleDir returns the directory of a release's modules; "" where there is none.
func findModuleDir(t tree.Tree, release string) string {
	for _, dir := range []string{"/lib/modules", "/usr/lib/modules"} {
		if dir = path.Join(dir, release); release != "" && t.Exists(dir) {
			return dir
		}
	}
	return ""
}

// IsGone reports whether a release has no modules; a directory without any can be left.
func (k Kernel) IsGone() bool {
	if errors.Is(k.Err, fs.ErrNotExist) {
		return true
	}
	for _, f := range k.Files {
		if f.Found {
			return false
		}
	}
	return len(k.Index.Files) == 0
}

// Dependencies returns the modules that a module needs, by modules.dep and by its file, sorted.
func (k Kernel) Dependencies(module string) []string {
	names := slices.Concat(k.Index.Depends[module], k.Files[module].Info.Depends)
	slices.Sort(names)
	return slices.Compact(names)
}

// Missing returns those of the modules that have no file and are not built in.
func (k Kernel) Missing(modules []string) []string {
	return slices.DeleteFunc(slices.Clone(modules), func(name string) bool {
		return k.Index.BuiltIn[name] || k.Files[name].Found
	})
}

// readLoadPolicy reads what decides whether the kernel loads a module.
func readLoadPolicy(t tree.Tree, line kmod.CommandLine) LoadPolicy {
	p := LoadPolicy{Disabled: readText(t, ModulesDisabledFile) == "1", SecureBoot: hasSecureBoot(t)}
	lockdown := readText(t, LockdownFile)
	if strings.Contains(lockdown, "[integrity]") || strings.Contains(lockdown, "[confidentiality]") {
		p.Enforced = append(p.Enforced, finding.Seen(LockdownFile, 0, lockdown))
	}
	const enforce = "/sys/module/module/parameters/sig_enforce"
	if state := readText(t, enforce); state == "Y" || state == "1" {
		p.Enforced = append(p.Enforced, finding.Seen(enforce, 0, state))
	}
	if word, found := line.Value("module.sig_enforce"); found && word != "0" && word != "n" && word != "N" {
		p.Enforced = append(p.Enforced, finding.Seen(CommandLineFile, 0, "module.sig_enforce"))
	}
	return p
}

// readText returns the content of a short file without the spaces around it; "" where it cannot be read.
func readText(t tree.Tree, file string) string {
	data, err := t.Read(file, 4096)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// hasSecureBoot reads the firmware's variable: four bytes of attributes, then the value
// (Documentation/filesystems/efivarfs.rst).
func hasSecureBoot(t tree.Tree) bool {
	data, err := t.Read("/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c", 4096)
	return err == nil && len(data) == 5 && data[4] == 1
}

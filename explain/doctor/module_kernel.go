package doctor

import (
	"cmp"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"unicode"

	"github.com/ctkeeper/ctkeeper/kmod"
)

// kernelNotInstalled asks whether the running kernel still has its modules on the
// disk: an update may have removed them, and then nothing more can be loaded.
func kernelNotInstalled(h *Host) []Finding {
	if h.Offline || h.Release == "" || h.inImage() || h.contained() || len(h.Kernels) == 0 || !h.Kernels[0].gone() {
		return nil
	}
	k := h.Kernels[0]
	f := Finding{
		ID: "kernel-not-installed", Severity: h.severity(),
		Evidence: []Evidence{seen("/proc/sys/kernel/osrelease", 0, h.Release), seen(k.Index.Dir, 0, "has no modules")},
	}
	for _, release := range h.Installed {
		if release != h.Release {
			f.Evidence = append(f.Evidence, seen(strings.TrimSuffix(k.Index.Dir, h.Release)+release, 0, "has modules"))
		}
	}
	newer := slices.ContainsFunc(h.Installed, func(release string) bool { return compareReleases(release, h.Release) > 0 })
	if h.loaded(kmod.Conntrack) {
		f.Severity = Warning // what is loaded stays; what depends on it and is not there yet cannot come
	}
	if newer {
		f.Summary = "the running kernel's modules are gone from the disk, and a newer kernel is installed: reboot into it"
		f.Fix = []string{h.reboot()}
		return []Finding{f}
	}
	f.Summary = "the running kernel's modules are not on the disk, and no newer kernel is installed: install them again"
	f.Fix = h.reinstall(h.Release)
	f.Note = "where the package of this release is not to be had any more, install the current kernel and reboot"
	return []Finding{f}
}

// contained reports whether this is a container: it has no modules of its own, and
// needs none.
func (h *Host) contained() bool { return h.Place.Container.Text != "" }

// gone reports whether a release has no modules at all; a directory may be left.
func (k Kernel) gone() bool {
	found := false
	for _, f := range k.Files {
		found = found || f.Found
	}
	return errors.Is(k.Err, fs.ErrNotExist) || !found && len(k.Index.Files) == 0
}

// reinstall puts a kernel's modules back, and loads nf_conntrack where that kernel runs.
func (h *Host) reinstall(release string) []string {
	return h.afterwards(release, h.Distro.ReinstallKernel(release), "depmod -a "+quote(release))
}

// afterwards adds the load to the commands where the release is the running one,
// and leaves out what this distribution has no command for.
func (h *Host) afterwards(release string, commands ...string) []string {
	commands = slices.DeleteFunc(commands, func(command string) bool { return command == "" })
	if release == h.Release {
		commands = append(commands, load)
	}
	return commands
}

// judged are the kernels that have modules; the others are kernelNotInstalled's.
func (h *Host) judged() []Kernel {
	if h.contained() {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(h.Kernels), func(k Kernel) bool { return k.gone() || k.Index.BuiltIn[kmod.Conntrack] })
}

// fileMissing asks for nf_conntrack's own file.
func fileMissing(h *Host) []Finding {
	if h.Module.State == kmod.BuiltIn {
		return nil
	}
	var found []Finding
	for _, k := range h.judged() {
		f := Finding{ID: "module-file-missing", Severity: h.severity(), Fix: h.reinstall(k.Release)}
		switch file := k.Files[kmod.Conntrack]; {
		case file.Found && file.Err == nil, file.Found && errors.Is(file.Err, fs.ErrPermission):
			continue
		case file.Found:
			f.Summary = "the file of nf_conntrack for kernel " + k.Release + " is damaged"
			f.Evidence = []Evidence{seen(file.Path, 0, strings.TrimPrefix(file.Err.Error(), "cannot read module "+file.Path+": "))}
		case file.Listed:
			f.Summary = "the file of nf_conntrack for kernel " + k.Release + " is gone"
			f.Evidence = []Evidence{seen(file.Path, 0, "not there"), seen(k.Index.Dir+"/modules.dep", 0, "lists it")}
		default:
			f.Summary = "kernel " + k.Release + " has no module nf_conntrack"
			f.Evidence = []Evidence{seen(k.Index.Dir+"/modules.dep", 0, "does not list it"), seen(k.Index.Dir+"/modules.builtin", 0, "does not list it")}
			if extra := h.Distro.ReinstallExtraModules(k.Release); extra != "" {
				f.Fix = h.afterwards(k.Release, extra, "depmod -a "+quote(k.Release))
			}
		}
		f.Evidence = append(f.Evidence, h.logged(about("nf_conntrack: ", "Unknown symbol", "invalid module format"))...)
		found = append(found, f)
	}
	return found
}

// dependencies are the modules that a module needs, by modules.dep and by the file
// itself, sorted.
func (k Kernel) dependencies(module string) []string {
	names := slices.Concat(k.Index.Depends[module], k.Files[module].Info.Depends)
	slices.Sort(names)
	return slices.Compact(names)
}

// missing are those of the modules that have no file and are not in the image.
func (k Kernel) missing(modules []string) []string {
	return slices.DeleteFunc(slices.Clone(modules), func(name string) bool { return k.Index.BuiltIn[name] || k.Files[name].Found })
}

// dependencyMissing asks for the files of the modules that nf_conntrack needs.
func dependencyMissing(h *Host) []Finding {
	if h.Module.State == kmod.BuiltIn {
		return nil
	}
	var found []Finding
	for _, k := range h.judged() {
		missing := k.missing(k.dependencies(kmod.Conntrack))
		if len(missing) == 0 {
			continue
		}
		f := Finding{
			ID: "dependency-missing", Severity: h.severity(), Fix: h.reinstall(k.Release),
			Summary: "nf_conntrack needs " + strings.Join(missing, ", ") + ", and kernel " + k.Release + " does not have it",
		}
		for _, name := range missing {
			if file := k.Files[name]; file.Listed {
				f.Evidence = append(f.Evidence, seen(file.Path, 0, "not there"))
			} else {
				f.Evidence = append(f.Evidence, seen(k.Index.Dir+"/modules.dep", 0, "does not list "+name))
			}
		}
		f.Evidence = append(f.Evidence, h.logged(about("nf_conntrack: Unknown symbol"))...)
		found = append(found, f)
	}
	return found
}

// staleIndex asks whether depmod(8) knows the files that are there: modprobe finds
// no other.
func staleIndex(h *Host) []Finding {
	var found []Finding
	for _, k := range h.judged() {
		f := Finding{
			ID: "modules-dep-stale", Severity: h.severity(), Fix: h.afterwards(k.Release, "depmod -a "+quote(k.Release)),
			Summary: "modules.dep of kernel " + k.Release + " does not list modules that are there",
		}
		for _, name := range append(k.dependencies(kmod.Conntrack), kmod.Conntrack) {
			if file := k.Files[name]; file.Found && !file.Listed {
				f.Evidence = append(f.Evidence, seen(file.Path, 0, "there, and not in modules.dep"))
			}
		}
		if len(f.Evidence) > 0 {
			found = append(found, f)
		}
	}
	return found
}

// wrongKernel asks whether the file was built for the release that it lies under.
// A kernel with modversions compares the symbols in place of the release
// (same_magic of kernel/module/version.c).
func wrongKernel(h *Host) []Finding {
	var found []Finding
	for _, k := range h.judged() {
		file := k.Files[kmod.Conntrack]
		built, flags, _ := strings.Cut(file.Info.Vermagic, " ")
		proof := h.logged(about("nf_conntrack: version magic", "nf_conntrack: disagrees about version"))
		if h.loaded(kmod.Conntrack) {
			proof = nil // of a load before the one that succeeded
		}
		foreign := built != "" && built != k.Release && !slices.Contains(strings.Fields(flags), "modversions")
		if !foreign && (len(proof) == 0 || k.Release != h.Release) {
			continue
		}
		f := Finding{
			ID: "module-wrong-kernel", Severity: h.severity(), Fix: h.reinstall(k.Release),
			Summary:  "the file of nf_conntrack for kernel " + k.Release + " was built for another kernel",
			Evidence: append([]Evidence{seen(file.Path, 0, "vermagic: "+strings.TrimSpace(file.Info.Vermagic))}, proof...),
		}
		if !strings.HasPrefix(file.Path, k.Index.Dir+"/kernel/") {
			f.Note = "it is not the distribution's own file, and a reinstallation of the kernel leaves it there: reinstall or remove what brought it"
		}
		found = append(found, f)
	}
	return found
}

// refusedSignature asks whether the kernel demands a signature that the file does
// not have (module_sig_check of kernel/module/signing.c).
func refusedSignature(h *Host) []Finding {
	var found []Finding
	for _, k := range h.judged() {
		file := k.Files[kmod.Conntrack]
		proof := h.logged(about("Loading of unsigned module is rejected", "unsigned module loading is restricted", "Key was rejected by service",
			"Loading of module with unavailable key is rejected", "Loading of module with unsupported crypto is rejected"))
		if k.Release != h.Release || h.loaded(kmod.Conntrack) {
			proof = nil // of another module, or of a time before
		}
		unsigned := file.Found && file.Err == nil && !file.Info.Signed && len(h.Guards.Enforced) > 0
		if !unsigned && (len(proof) == 0 || len(h.Guards.Enforced) == 0) {
			continue
		}
		f := Finding{
			ID: "module-signature", Severity: h.severity(), Fix: h.reinstall(k.Release), Evidence: slices.Concat(h.Guards.Enforced, proof),
			Summary: "the kernel takes modules with a valid signature alone, and refuses the file of nf_conntrack for " + k.Release,
			Note:    "where the kernel or the module is of your own making, sign the module with a key that this kernel trusts",
		}
		if unsigned {
			f.Evidence = append(f.Evidence, seen(file.Path, 0, "not signed"))
		}
		if h.Guards.SecureBoot {
			f.Evidence = append(f.Evidence, seen("/sys/firmware/efi/efivars", 0, "secure boot is on"))
		}
		found = append(found, f)
	}
	return found
}

// about matches messages that hold one of the texts.
func about(texts ...string) func(string) bool {
	return func(message string) bool {
		return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(message, text) })
	}
}

// compareReleases orders kernel releases: runs of digits by their number, other
// runs as text.
func compareReleases(a, b string) int {
	x, y := releaseParts(a), releaseParts(b)
	for i := range min(len(x), len(y)) {
		one, two := strings.TrimLeft(x[i], "0"), strings.TrimLeft(y[i], "0")
		if digits(x[i]) && digits(y[i]) {
			if c := cmp.Or(cmp.Compare(len(one), len(two)), cmp.Compare(one, two)); c != 0 {
				return c
			}
		} else if c := cmp.Compare(x[i], y[i]); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(x), len(y))
}

func digits(part string) bool { return part != "" && unicode.IsDigit(rune(part[0])) }

// releaseParts splits a release where digits begin and end.
func releaseParts(release string) []string {
	var parts []string
	for i, r := range release {
		if i == 0 || unicode.IsDigit(r) != digits(parts[len(parts)-1]) {
			parts = append(parts, "")
		}
		parts[len(parts)-1] += string(r)
	}
	return parts
}

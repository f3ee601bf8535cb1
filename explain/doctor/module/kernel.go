package module

import (
	"cmp"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"unicode"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/fixes"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/host/change"
	"github.com/ctkeeper/ctkeeper/kmod"
)

// checkKernelInstalled reports a running kernel whose modules are not on the disk. An update can have
// removed them; then no further module can be loaded.
func checkKernelInstalled(h *picture.Host) []finding.Finding {
	if h.Offline || h.Release == "" || h.IsBuiltIn() || len(h.Kernels) == 0 ||
		!h.Kernels[0].IsGone() {
		return nil
	}
	dir := h.Kernels[0].Index.Dir
	f := finding.Finding{
		ID: "kernel-not-installed", Severity: severity(h),
		Evidence: []finding.Evidence{
			finding.Seen("/proc/sys/kernel/osrelease", 0, h.Release), finding.Seen(dir, 0, "has no modules"),
		},
	}
	for _, release := range h.Installed {
		if release != h.Release {
			f.Evidence = append(f.Evidence, finding.Seen(strings.TrimSuffix(dir, h.Release)+release, 0, "has modules"))
		}
	}
	if h.IsLoaded(kmod.Conntrack) {
		f.Severity = finding.Warning // what is loaded stays, but a module that depends on it cannot be loaded
	}
	isNewer := func(release string) bool { return compareReleases(release, h.Release) > 0 }
	if slices.ContainsFunc(h.Installed, isNewer) {
		f.Summary = "the running kernel's modules are gone from the disk, and a newer kernel is installed: reboot " +
			"into it"
		f.Fix = []finding.Step{fixes.Reboot(h)}
		return []finding.Finding{f}
	}
	f.Summary = "the running kernel's modules are not on the disk, and no newer kernel is installed: reinstall them"
	f.Fix = reinstall(h, h.Release)
	if source := h.Distro.Platform.Kernel; source != "" {
		f.Summary = "the running kernel's modules are not on the disk"
		f.Note = "This is " + h.Distro.Platform.Name + ": its kernel comes from " + source + "."
		return []finding.Finding{f}
	}
	f.Note = "Where the package of this release is no longer available, install the current kernel and reboot."
	return []finding.Finding{f}
}

// reinstall returns the commands that reinstall a kernel's modules, and load nf_conntrack where that
// kernel runs.
func reinstall(h *picture.Host, release string) []finding.Step {
	if h.Distro.Platform.Kernel != "" {
		return nil // no package has it: the finding platform says where it comes from
	}
	return withLoad(h, release, fixes.LoadModule(), append(h.Distro.ReinstallKernel(release), depmod(release)))
}

// depmod returns the command that makes modules.dep of a release again.
func depmod(release string) finding.Step { return change.Run("depmod", "-a", release) }

// withLoad adds the load to the commands where the release is the running one.
func withLoad(h *picture.Host, release string, load finding.Step, commands []finding.Step) []finding.Step {
	if release == h.Release {
		commands = append(commands, load)
	}
	return commands
}

// checkedKernels returns the kernels that have modules. checkKernelInstalled reports the others.
func checkedKernels(h *picture.Host) []picture.Kernel {
	return slices.DeleteFunc(slices.Clone(h.Kernels), func(k picture.Kernel) bool {
		return k.IsGone() || k.Index.BuiltIn[kmod.Conntrack]
	})
}

// checkFile reports a missing or damaged file of nf_conntrack.
func checkFile(h *picture.Host) []finding.Finding {
	if h.Module.State == kmod.BuiltIn {
		return nil
	}
	var found []finding.Finding
	for _, k := range checkedKernels(h) {
		f := finding.Finding{ID: "module-file-missing", Severity: severity(h), Fix: reinstall(h, k.Release)}
		dep := k.Index.Dir + "/modules.dep"
		switch file := k.Files[kmod.Conntrack]; {
		case file.Found && file.Err == nil, file.Found && errors.Is(file.Err, fs.ErrPermission):
			continue
		case file.Found:
			f.Summary = "the file of nf_conntrack for kernel " + k.Release + " is damaged"
			text := strings.TrimPrefix(file.Err.Error(), "cannot read module "+file.Path+": ")
			f.Evidence = []finding.Evidence{finding.Seen(file.Path, 0, text)}
		case file.Listed:
			f.Summary = "the file of nf_conntrack for kernel " + k.Release + " is gone"
			f.Evidence = []finding.Evidence{finding.Seen(file.Path, 0, "does not exist"), finding.Seen(dep, 0,
				"lists it")}
		default:
			f.Summary = "kernel " + k.Release + " has no module nf_conntrack"
			f.Evidence = []finding.Evidence{
				finding.Seen(dep, 0, "does not list it"), finding.Seen(k.Index.Dir+"/modules.builtin", 0,
					"does not list it"),
			}
			if extra := h.Distro.ReinstallExtraModules(k.Release); len(extra) > 0 {
				f.Fix = withLoad(h, k.Release, fixes.LoadModule(), append(extra, depmod(k.Release)))
			}
		}
		logged := h.Logged(picture.Containing("nf_conntrack: ", "Unknown symbol", "invalid module format"))
		f.Evidence = append(f.Evidence, logged...)
		found = append(found, f)
	}
	return found
}

// checkDependencies reports missing files of the modules that nf_conntrack needs.
func checkDependencies(h *picture.Host) []finding.Finding {
	if h.Module.State == kmod.BuiltIn {
		return nil
	}
	var found []finding.Finding
	for _, k := range checkedKernels(h) {
		missing := k.Missing(k.Dependencies(kmod.Conntrack))
		if len(missing) == 0 {
			continue
		}
		f := finding.Finding{
			ID: "dependency-missing", Severity: severity(h), Fix: reinstall(h, k.Release),
			Summary: "nf_conntrack needs " + strings.Join(missing, ", ") + ", and kernel " + k.Release +
				" does not have it",
		}
		for _, name := range missing {
			if file := k.Files[name]; file.Listed {
				f.Evidence = append(f.Evidence, finding.Seen(file.Path, 0, "does not exist"))
			} else {
				f.Evidence = append(f.Evidence, finding.Seen(k.Index.Dir+"/modules.dep", 0, "does not list "+name))
			}
		}
		f.Evidence = append(f.Evidence, h.Logged(picture.Containing("nf_conntrack: Unknown symbol"))...)
		found = append(found, f)
	}
	return found
}

// checkIndex reports files that modules.dep does not list: modprobe(8) finds only those that depmod(8)
// listed there.
func checkIndex(h *picture.Host) []finding.Finding {
	var found []finding.Finding
	for _, k := range checkedKernels(h) {
		f := finding.Finding{
			ID: "modules-dep-stale", Severity: severity(h), Fix: withLoad(h, k.Release, fixes.LoadModule(),
				[]finding.Step{depmod(k.Release)}),
			Summary: "modules.dep of kernel " + k.Release + " does not list modules that exist",
		}
		for _, name := range append(k.Dependencies(kmod.Conntrack), kmod.Conntrack) {
			if file := k.Files[name]; file.Found && !file.Listed {
				f.Evidence = append(f.Evidence, finding.Seen(file.Path, 0, "exists, and is not in modules.dep"))
			}
		}
		if len(f.Evidence) > 0 {
			found = append(found, f)
		}
	}
	return found
}

// compareReleases orders kernel releases. Runs of digits are compared as numbers, other runs as text.
func compareReleases(a, b string) int {
	x, y := splitRelease(a), splitRelease(b)
	for i := range min(len(x), len(y)) {
		one, two := strings.TrimLeft(x[i], "0"), strings.TrimLeft(y[i], "0")
		if isNumber(x[i]) && isNumber(y[i]) {
			if c := cmp.Or(cmp.Compare(len(one), len(two)), cmp.Compare(one, two)); c != 0 {
				return c
			}
		} else if c := cmp.Compare(x[i], y[i]); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(x), len(y))
}

func isNumber(part string) bool { return part != "" && unicode.IsDigit(rune(part[0])) }

// splitRelease splits a release where digits begin and end.
func splitRelease(release string) []string {
	var parts []string
	for i, r := range release {
		if i == 0 || unicode.IsDigit(r) != isNumber(parts[len(parts)-1]) {
			parts = append(parts, "")
		}
		parts[len(parts)-1] += string(r)
	}
	return parts
}

package module

import (
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/fixes"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
)

// checkModulesDisabled reports a kernel that loads no modules. Once kernel.modules_disabled is 1, only a
// boot makes it 0 again (kernel/sysctl.c).
func checkModulesDisabled(h *picture.Host) []finding.Finding {
	if !h.LoadPolicy.Disabled {
		return nil
	}
	f := finding.Finding{
		ID: "modules-disabled", Severity: severity(h), Summary: "the kernel loads no modules until the next boot",
		Evidence: []finding.Evidence{finding.Seen(picture.ModulesDisabledFile, 0, "1")},
	}
	if h.IsLoaded(kmod.Conntrack) {
		f.Severity = finding.Info
		f.Summary += "; nf_conntrack is loaded already"
		return []finding.Finding{f}
	}
	evidence, fix := findDisablers(h)
	if len(fix) == 0 {
		f.Note = "No sysctl file of this host sets it: a program wrote it, and can do so again."
	}
	f.Evidence, f.Fix = append(f.Evidence, evidence...), append(fix, fixes.Reboot(h))
	return []finding.Finding{f}
}

// checkModulesDisabledNext reports that the next boot disables module loading before anything loads
// nf_conntrack.
func checkModulesDisabledNext(h *picture.Host) []finding.Finding {
	evidence, fix := findDisablers(h)
	if h.LoadPolicy.Disabled || len(evidence) == 0 || h.IsBuiltIn() || len(h.Inventory.EarlyLoads) > 0 {
		return nil
	}
	return []finding.Finding{{
		ID: "modules-disabled", Severity: finding.Warning, Evidence: evidence, Fix: fix,
		Summary: "from the next boot on the kernel loads no modules, and no line loads nf_conntrack before that",
	}}
}

// findDisablers returns what sets kernel.modules_disabled at boot, and the steps that remove it.
func findDisablers(h *picture.Host) (evidence []finding.Evidence, fix []finding.Step) {
	return fixes.RemoveSysctl(h, "kernel.modules_disabled", func(value string) bool { return value == "1" })
}

// checkBlacklisted reports what blocks nf_conntrack itself.
func checkBlacklisted(h *picture.Host) []finding.Finding {
	b := findBlocks(h, kmod.Conntrack)
	if h.IsBuiltIn() || b.isEmpty() {
		return nil
	}
	f := finding.Finding{
		ID: "module-blacklisted", Severity: severity(h), Evidence: b.evidence(), Fix: b.fix(h, kmod.Conntrack,
			fixes.LoadModule()),
	}
	switch {
	case len(b.kernelWords) > 0:
		f.Summary = "the kernel refuses nf_conntrack: module_blacklist= names it"
	case len(b.installs) > 0:
		f.Summary = "modprobe runs another command instead of loading nf_conntrack"
	default:
		f.Summary = "nf_conntrack is blacklisted: ctkeeper, systemd-modules-load and udev do not load it, " +
			"nor does the kernel by one of its aliases; modprobe nf_conntrack, and a module that depends on it, " +
			"still load it"
		if h.Config == nil || !h.Config.Module.Load && len(h.Inventory.EarlyLoads) == 0 {
			f.Severity = finding.Warning
		}
	}
	if isOnPurpose(h) {
		f.Severity, f.Fix = finding.Info, nil
		f.Summary += "; nothing that was found on this host needs it"
		return []finding.Finding{f}
	}
	if len(b.modprobeWords) > 0 {
		f.Note = "The running kernel keeps its command line until the next boot."
	}
	rebuild := h.Distro.RebuildInitramfs(h.Release)
	if rebuild != "" && h.Release != "" && len(b.installs)+len(b.blacklists) > 0 {
		f.Note = "An initramfs can contain a copy of the file. If the module is still blocked after a boot: " + rebuild
	}
	return []finding.Finding{f}
}

// isOnPurpose reports whether the module seems to be kept out on purpose, as guides for busy servers without a
// firewall advise: it is not loaded, and no file of ctkeeper, of a firewall or of sysctl.d asks for it.
func isOnPurpose(h *picture.Host) bool {
	return !h.IsLoaded(kmod.Conntrack) && len(h.NeededBy()) == 0 && h.Config != nil && h.Config.UsesDefault &&
		!h.Config.Module.Load && len(h.Inventory.Assignments) == 0 && len(h.Inventory.ToolOptions) == 0
}

// checkDependencyBlacklisted reports what blocks the modules that nf_conntrack needs. A blacklist line
// alone does not block a dependency.
func checkDependencyBlacklisted(h *picture.Host) []finding.Finding {
	if h.IsBuiltIn() {
		return nil
	}
	var names []string
	for _, k := range h.Kernels {
		names = append(names, k.Dependencies(kmod.Conntrack)...)
	}
	slices.Sort(names)
	var found []finding.Finding
	for _, name := range slices.Compact(names) {
		b := findBlocks(h, name)
		switch {
		case h.Index.BuiltIn[name] || b.isEmpty():
		case !b.isHard():
			found = append(found, finding.Finding{
				ID: "dependency-blacklisted", Severity: finding.Info, Evidence: b.evidence(),
				Summary: name + ", which nf_conntrack needs, is blacklisted: " +
					"it is not loaded by an alias, but it is loaded together with nf_conntrack",
			})
		default:
			found = append(found, finding.Finding{
				ID: "dependency-blacklisted", Severity: severity(h), Evidence: b.evidence(),
				Summary: name + ", which nf_conntrack needs, is blocked, and nf_conntrack with it",
				Fix:     b.fix(h, name, fixes.LoadModule()),
			})
		}
	}
	return found
}

// blocks are what can block one module.
type blocks struct {
	installs, blacklists []kmod.Directive
	// kernelWords (module_blacklist=) and modprobeWords (modprobe.blacklist=) are words of the kernel
	// command line; the kernel obeys the former, modprobe the latter.
	kernelWords, modprobeWords []string
}

// isEmpty reports whether nothing blocks the module.
func (b blocks) isEmpty() bool { return len(b.blacklists)+len(b.modprobeWords) == 0 && !b.isHard() }

// isHard reports whether the module cannot be loaded by its name either. Blacklists only keep it from
// being loaded by an alias.
func (b blocks) isHard() bool { return len(b.kernelWords)+len(b.installs) > 0 }

// findBlocks returns what blocks a module.
func findBlocks(h *picture.Host, module string) blocks {
	modprobe := h.Inventory.Modprobe
	b := blocks{installs: modprobe.BlockingInstalls(module), blacklists: modprobe.Find("blacklist", module)}
	for line := h.CommandLine; ; {
		word := line.BlacklistWord(module)
		if word == "" {
			return b
		}
		if strings.HasPrefix(word, "module_blacklist") {
			b.kernelWords = append(b.kernelWords, word)
		} else {
			b.modprobeWords = append(b.modprobeWords, word)
		}
		line = kmod.CommandLine{Words: slices.DeleteFunc(slices.Clone(line.Words),
			func(other string) bool { return other == word })}
	}
}

func (b blocks) evidence() []finding.Evidence {
	var all []finding.Evidence
	for _, d := range slices.Concat(b.installs, b.blacklists) {
		all = append(all, picture.DirectiveEvidence(d))
	}
	for _, word := range slices.Concat(b.kernelWords, b.modprobeWords) {
		all = append(all, finding.Seen(picture.CommandLineFile, 0, word))
	}
	return all
}

// fix returns the steps that remove the blocks and load the module. A word that the kernel obeys counts until
// the next boot.
func (b blocks) fix(h *picture.Host, module string, load finding.Step) []finding.Step {
	var places []tree.Place
	for _, d := range slices.Concat(b.installs, b.blacklists) {
		places = append(places, d.Place)
	}
	words := slices.Concat(b.kernelWords, b.modprobeWords)
	var rest []string
	for _, word := range words {
		if list := removeFromList(word, module); list != "" {
			rest = append(rest, list)
		}
	}
	steps := append(fixes.CommentOut(h, places...), h.Boot.Change(words, rest)...)
	if len(b.kernelWords) > 0 {
		return append(steps, fixes.Reboot(h))
	}
	return append(steps, load)
}

// removeFromList removes a module from a list on the command line; "" where nothing is left.
func removeFromList(word, module string) string {
	name, list, _ := strings.Cut(word, "=")
	rest := slices.DeleteFunc(strings.Split(list, ","), func(other string) bool {
		return other == "" || kmod.NormalizeName(other) == module
	})
	if len(rest) == 0 {
		return ""
	}
	return name + "=" + strings.Join(rest, ",")
}

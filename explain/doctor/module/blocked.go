package module

import (
	"maps"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/fixes"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/kmod"
)

// checkModulesDisabled asks whether the kernel takes any module at all: once
// kernel.modules_disabled is 1, only a boot makes it 0 again (kernel/sysctl.c).
func checkModulesDisabled(h *picture.Host) []finding.Finding {
	if !h.LoadPolicy.Disabled {
		return nil
	}
	f := finding.Finding{
		ID: "modules-disabled", Severity: severity(h), Summary: "the kernel takes no modules until the next boot",
		Evidence: []finding.Evidence{finding.Seen(picture.ModulesDisabledFile, 0, "1")},
	}
	if h.IsLoaded(kmod.Conntrack) {
		f.Severity = finding.Info
		f.Summary += "; nf_conntrack is in it already"
		return []finding.Finding{f}
	}
	evidence, fix := findDisablers(h)
	if len(fix) == 0 {
		f.Note = "no sysctl file of this host says so: a program wrote it, and may again"
	}
	f.Evidence, f.Fix = append(f.Evidence, evidence...), append(fix, fixes.Reboot(h))
	return []finding.Finding{f}
}

// checkModulesDisabledNext asks whether the next boot closes the kernel before anything
// has loaded the module.
func checkModulesDisabledNext(h *picture.Host) []finding.Finding {
	evidence, fix := findDisablers(h)
	if h.LoadPolicy.Disabled || len(evidence) == 0 || h.IsBuiltIn() || len(h.Inventory.EarlyLoads) > 0 {
		return nil
	}
	return []finding.Finding{{
		ID: "modules-disabled", Severity: finding.Warning, Evidence: evidence, Fix: fix,
		Summary: "from the next boot on the kernel takes no modules, and no line loads nf_conntrack before that",
	}}
}

// findDisablers finds what closes the kernel to modules at boot, and what ends it.
func findDisablers(h *picture.Host) (evidence []finding.Evidence, fix []string) {
	for _, s := range h.Inventory.ToolOptions {
		if s.Name == "kernel.modules_disabled" && s.Value == "1" && !s.Default {
			evidence = append(evidence, finding.At(s.Place, s.Name+" = "+s.Value))
			fix = append(fix, fixes.Edit(h.Tree, s.File, `s/^[[:space:]]*-*[[:space:]]*kernel[./]modules_disabled[[:space:]]*=/# &/`))
		}
	}
	const argument = "sysctl.kernel.modules_disabled"
	if value, given := h.CommandLine.Value(argument); given && value == "1" {
		evidence = append(evidence, finding.Seen(picture.CommandLineFile, 0, argument+"=1"))
		_, commands := h.Distro.RemoveKernelArgument(h.Tree, argument+"=1")
		fix = append(fix, commands...)
	}
	return evidence, finding.Unique(fix)
}

// checkBlacklisted asks what keeps nf_conntrack itself out.
func checkBlacklisted(h *picture.Host) []finding.Finding {
	if h.IsBuiltIn() {
		return nil
	}
	b := findBlock(h, kmod.Conntrack)
	if len(b.evidence()) == 0 {
		return nil
	}
	f := finding.Finding{ID: "module-blacklisted", Severity: severity(h), Evidence: b.evidence(), Fix: b.fix(h, kmod.Conntrack, fixes.LoadModule)}
	switch {
	case len(b.refused) > 0:
		f.Summary = "the kernel refuses nf_conntrack: module_blacklist= names it"
	case len(b.installs) > 0:
		f.Summary = "modprobe runs another command in place of loading nf_conntrack"
	default:
		f.Summary = "nf_conntrack is blacklisted: ctkeeper, systemd-modules-load and udev do not load it, nor does the kernel by one of its aliases; " +
			"modprobe nf_conntrack, and a module that depends on it, still load it"
		if h.Config == nil || !h.Config.Module.Load && len(h.Inventory.EarlyLoads) == 0 {
			f.Severity = finding.Warning
		}
	}
	if len(b.passed) > 0 {
		f.Note = "the running kernel keeps its command line until the next boot"
	}
	if command := h.Distro.RebuildInitramfs(h.Release); command != "" && h.Release != "" && len(b.installs)+len(b.blacklists) > 0 {
		f.Note = "an initramfs may have a copy of the file; if it is still kept out after a boot: " + command
	}
	return []finding.Finding{f}
}

// checkDependencyBlacklisted asks the same of the modules that nf_conntrack needs. A
// blacklist line alone keeps no dependency out.
func checkDependencyBlacklisted(h *picture.Host) []finding.Finding {
	if h.IsBuiltIn() {
		return nil
	}
	var found []finding.Finding
	for _, name := range dependencies(h) {
		b := findBlock(h, name)
		switch {
		case h.Index.BuiltIn[name] || len(b.evidence()) == 0:
		case len(b.refused) == 0 && len(b.installs) == 0:
			found = append(found, finding.Finding{
				ID: "dependency-blacklisted", Severity: finding.Info, Evidence: b.evidence(),
				Summary: name + ", which nf_conntrack needs, is blacklisted: that keeps it from being loaded by an alias, not from being loaded with nf_conntrack",
			})
		default:
			found = append(found, finding.Finding{
				ID: "dependency-blacklisted", Severity: severity(h), Evidence: b.evidence(),
				Summary: name + ", which nf_conntrack needs, is kept out, and nf_conntrack with it",
				Fix:     b.fix(h, name, fixes.LoadModule),
			})
		}
	}
	return found
}

// dependencies are the modules that nf_conntrack needs, by modules.dep and by its own
// file, sorted.
func dependencies(h *picture.Host) []string {
	names := map[string]bool{}
	for _, k := range h.Kernels {
		for _, name := range k.Dependencies(kmod.Conntrack) {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// block is what keeps one module out.
type block struct {
	installs, blacklists []kmod.Directive
	// refused and passed are words of the kernel command line: module_blacklist=,
	// which the kernel heeds, and modprobe.blacklist=, which modprobe does.
	refused, passed []string
}

func findBlock(h *picture.Host, module string) block {
	modprobe := h.Inventory.Modprobe
	b := block{installs: modprobe.BlockingInstalls(module), blacklists: modprobe.Find("blacklist", module)}
	for line := h.CommandLine; ; {
		word := line.BlacklistWord(module)
		if word == "" {
			return b
		}
		if strings.HasPrefix(word, "module_blacklist") {
			b.refused = append(b.refused, word)
		} else {
			b.passed = append(b.passed, word)
		}
		line = kmod.CommandLine{Words: slices.DeleteFunc(slices.Clone(line.Words), func(other string) bool { return other == word })}
	}
}

func (b block) evidence() []finding.Evidence {
	var all []finding.Evidence
	for _, d := range slices.Concat(b.installs, b.blacklists) {
		all = append(all, finding.At(d.Place, strings.TrimSpace(d.Kind+" "+d.Module+" "+d.Args)))
	}
	for _, word := range slices.Concat(b.refused, b.passed) {
		all = append(all, finding.Seen(picture.CommandLineFile, 0, word))
	}
	return all
}

// fix puts the lines out of force, each file in one go, and loads the module; for a
// word that the kernel itself heeds it takes a boot.
func (b block) fix(h *picture.Host, module, load string) []string {
	scripts := map[string][]string{}
	for _, d := range slices.Concat(b.installs, b.blacklists) {
		script := "s/^[[:space:]]*" + d.Kind + "[[:space:]]*" + modulePattern(d.Module) + lineEnd(d.Kind) + "/# &/"
		scripts[d.File] = finding.Unique(append(scripts[d.File], script))
	}
	var commands []string
	for _, file := range slices.Sorted(maps.Keys(scripts)) {
		commands = append(commands, fixes.EditJoined(h, file, scripts[file]))
	}
	for _, word := range slices.Concat(b.refused, b.passed) {
		_, remove := h.Distro.RemoveKernelArgument(h.Tree, word)
		commands = append(commands, remove...)
		if rest := removeFromList(word, module); rest != "" {
			_, add := h.Distro.AddKernelArgument(h.Tree, rest)
			commands = append(commands, add...)
		}
	}
	if len(b.refused) > 0 {
		return append(commands, fixes.Reboot(h))
	}
	return append(commands, load)
}

// lineEnd is what may follow the module's name in a line.
func lineEnd(kind string) string {
	if kind == "blacklist" {
		return `\([[:space:]].*\)*$`
	}
	return "[[:space:]]"
}

// modulePattern is a module's name, or a pattern of names, for sed: the file may
// have a dash where the kernel has an underscore.
func modulePattern(name string) string {
	return strings.ReplaceAll(fixes.Literal(name), "_", "[-_]")
}

// removeFromList takes a module out of a list of them on the command line; empty where
// none is left.
func removeFromList(word, module string) string {
	name, list, _ := strings.Cut(word, "=")
	rest := slices.DeleteFunc(strings.Split(list, ","), func(other string) bool {
		return other == "" || strings.ReplaceAll(other, "-", "_") == module
	})
	if len(rest) == 0 {
		return ""
	}
	return name + "=" + strings.Join(rest, ",")
}

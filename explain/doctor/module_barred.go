package doctor

import (
	"path"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/kmod"
)

// modulesDisabled asks whether the kernel takes any module at all: once
// kernel.modules_disabled is 1, only a boot makes it 0 again (kernel/sysctl.c).
func modulesDisabled(h *Host) []Finding {
	if !h.Guards.Disabled {
		return nil
	}
	f := Finding{
		ID: "modules-disabled", Severity: h.severity(), Summary: "the kernel takes no modules until the next boot",
		Evidence: []Evidence{seen(modulesDisabledFile, 0, "1")},
	}
	if h.loaded(kmod.Conntrack) {
		f.Severity = Info
		f.Summary += "; nf_conntrack is in it already"
		return []Finding{f}
	}
	evidence, fix := h.whoDisables()
	if len(fix) == 0 {
		f.Note = "no sysctl file of this host says so: a program wrote it, and may again"
	}
	f.Evidence, f.Fix = append(f.Evidence, evidence...), append(fix, h.reboot())
	return []Finding{f}
}

// modulesDisabledNext asks whether the next boot closes the kernel before anything
// has loaded the module.
func modulesDisabledNext(h *Host) []Finding {
	evidence, fix := h.whoDisables()
	if h.Guards.Disabled || len(evidence) == 0 || h.inImage() || len(h.Inventory.EarlyLoads) > 0 {
		return nil
	}
	return []Finding{{
		ID: "modules-disabled", Severity: Warning, Evidence: evidence, Fix: fix,
		Summary: "from the next boot on the kernel takes no modules, and no line loads nf_conntrack before that",
	}}
}

// whoDisables finds what closes the kernel to modules at boot, and what ends it.
func (h *Host) whoDisables() (evidence []Evidence, fix []string) {
	for _, s := range h.Inventory.ToolOptions {
		if s.Name == "kernel.modules_disabled" && s.Value == "1" && !s.Default {
			evidence = append(evidence, Evidence{s.Place, s.Name + " = " + s.Value})
			fix = append(fix, edit(h.Tree, s.File, `s/^[[:space:]]*-*[[:space:]]*kernel[./]modules_disabled[[:space:]]*=/# &/`))
		}
	}
	const argument = "sysctl.kernel.modules_disabled"
	if value, given := h.CommandLine.Value(argument); given && value == "1" {
		evidence = append(evidence, seen(cmdline, 0, argument+"=1"))
		_, commands := h.Distro.RemoveKernelArgument(h.Tree, argument+"=1")
		fix = append(fix, commands...)
	}
	return evidence, unique(fix)
}

// blacklisted asks what keeps nf_conntrack itself out.
func blacklisted(h *Host) []Finding {
	if h.inImage() {
		return nil
	}
	b := h.bars(kmod.Conntrack)
	if len(b.evidence()) == 0 {
		return nil
	}
	f := Finding{ID: "module-blacklisted", Severity: h.severity(), Evidence: b.evidence(), Fix: b.fix(h, kmod.Conntrack, load)}
	switch {
	case len(b.refused) > 0:
		f.Summary = "the kernel refuses nf_conntrack: module_blacklist= names it"
	case len(b.installs) > 0:
		f.Summary = "modprobe runs another command in place of loading nf_conntrack"
	default:
		f.Summary = "nf_conntrack is blacklisted: ctkeeper, systemd-modules-load and udev do not load it, nor does the kernel by one of its aliases; " +
			"modprobe nf_conntrack, and a module that depends on it, still load it"
		if h.Config == nil || !h.Config.Module.Load && len(h.Inventory.EarlyLoads) == 0 {
			f.Severity = Warning
		}
	}
	if len(b.passed) > 0 {
		f.Note = "the running kernel keeps its command line until the next boot"
	}
	if command := h.Distro.RebuildInitramfs(h.Release); command != "" && h.Release != "" && len(b.installs)+len(b.blacklists) > 0 {
		f.Note = "an initramfs may have a copy of the file; if it is still kept out after a boot: " + command
	}
	return []Finding{f}
}

// dependencyBlacklisted asks the same of the modules that nf_conntrack needs. A
// blacklist line alone keeps no dependency out.
func dependencyBlacklisted(h *Host) []Finding {
	if h.inImage() {
		return nil
	}
	var found []Finding
	for _, name := range h.dependencies() {
		b := h.bars(name)
		switch {
		case h.Index.BuiltIn[name] || len(b.evidence()) == 0:
		case len(b.refused) == 0 && len(b.installs) == 0:
			found = append(found, Finding{
				ID: "dependency-blacklisted", Severity: Info, Evidence: b.evidence(),
				Summary: name + ", which nf_conntrack needs, is blacklisted: that keeps it from being loaded by an alias, not from being loaded with nf_conntrack",
			})
		default:
			found = append(found, Finding{
				ID: "dependency-blacklisted", Severity: h.severity(), Evidence: b.evidence(),
				Summary: name + ", which nf_conntrack needs, is kept out, and nf_conntrack with it",
				Fix:     b.fix(h, name, load),
			})
		}
	}
	return found
}

// dependencies are the modules that nf_conntrack needs, by modules.dep and by its own
// file, sorted.
func (h *Host) dependencies() []string {
	names := map[string]bool{}
	for _, k := range h.Kernels {
		for _, name := range k.dependencies(kmod.Conntrack) {
			names[name] = true
		}
	}
	return sorted(names)
}

// bars is what keeps one module out.
type bars struct {
	installs, blacklists []kmod.Directive
	// refused and passed are words of the kernel command line: module_blacklist=,
	// which the kernel heeds, and modprobe.blacklist=, which modprobe does.
	refused, passed []string
}

func (h *Host) bars(module string) bars {
	b := bars{blacklists: h.Inventory.Modprobe.Of("blacklist", module)}
	for _, d := range h.Inventory.Modprobe.Of("install", module) {
		if !loads(d.Args) {
			b.installs = append(b.installs, d)
		}
	}
	for line := h.CommandLine; ; {
		word := line.Blacklist(module)
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

// loads reports whether the command of an install line loads a module in the end.
func loads(command string) bool {
	for word := range strings.FieldsFuncSeq(command, func(r rune) bool { return strings.ContainsRune(" \t;&|(){}`$\"'", r) }) {
		if base := path.Base(word); base == "modprobe" || base == "insmod" {
			return true
		}
	}
	return false
}

func (b bars) evidence() []Evidence {
	var all []Evidence
	for _, d := range slices.Concat(b.installs, b.blacklists) {
		all = append(all, Evidence{d.Place, strings.TrimSpace(d.Kind + " " + d.Module + " " + d.Args)})
	}
	for _, word := range slices.Concat(b.refused, b.passed) {
		all = append(all, seen(cmdline, 0, word))
	}
	return all
}

// fix puts the lines out of force, each file in one go, and loads the module; for a
// word that the kernel itself heeds it takes a boot.
func (b bars) fix(h *Host, module, load string) []string {
	scripts := map[string][]string{}
	for _, d := range slices.Concat(b.installs, b.blacklists) {
		script := "s/^[[:space:]]*" + d.Kind + "[[:space:]]*" + modulePattern(d.Module) + ends(d.Kind) + "/# &/"
		scripts[d.File] = unique(append(scripts[d.File], script))
	}
	var commands []string
	for _, file := range sorted(scripts) {
		commands = append(commands, h.editJoined(file, scripts[file]))
	}
	for _, word := range slices.Concat(b.refused, b.passed) {
		_, remove := h.Distro.RemoveKernelArgument(h.Tree, word)
		commands = append(commands, remove...)
		if rest := listWithout(word, module); rest != "" {
			_, add := h.Distro.AddKernelArgument(h.Tree, rest)
			commands = append(commands, add...)
		}
	}
	if len(b.refused) > 0 {
		return append(commands, h.reboot())
	}
	return append(commands, load)
}

// ends is what may follow the module's name in a line.
func ends(kind string) string {
	if kind == "blacklist" {
		return `\([[:space:]].*\)*$`
	}
	return "[[:space:]]"
}

// modulePattern is a module's name, or a pattern of names, for sed: the file may
// have a dash where the kernel has an underscore.
func modulePattern(name string) string {
	return strings.ReplaceAll(literal(name), "_", "[-_]")
}

// listWithout takes a module out of a list of them on the command line; empty where
// none is left.
func listWithout(word, module string) string {
	name, list, _ := strings.Cut(word, "=")
	rest := slices.DeleteFunc(strings.Split(list, ","), func(other string) bool {
		return other == "" || strings.ReplaceAll(other, "-", "_") == module
	})
	if len(rest) == 0 {
		return ""
	}
	return name + "=" + strings.Join(rest, ",")
}

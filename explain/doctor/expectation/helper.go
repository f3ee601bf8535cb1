package expectation

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/fixes"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// mostRules is how many rules of one helper stand in a finding.
const mostRules = 5

const helperFile = "/proc/sys/net/netfilter/nf_conntrack_helper"

// helpersUsed is everything that attaches helpers to connections: rules, live ones
// first, other tools' switches, and the kernel itself by port.
func helpersUsed(h *picture.Host) []finding.Evidence {
	var used []finding.Evidence
	for _, live := range []bool{true, false} {
		count := map[string]int{}
		for _, rule := range h.Rules.Helpers {
			if rule.Live != live {
				continue
			}
			if count[rule.Name]++; count[rule.Name] <= mostRules {
				used = append(used, finding.At(rule.Place, cmp.Or(rule.Rule, "helper "+rule.Name)))
			}
		}
	}
	for _, s := range attachingSwitches(h) {
		used = append(used, picture.SwitchEvidence(s))
	}
	if on, text := automatic(h); on {
		used = append(used, finding.Seen(helperFile, 0, text))
	}
	return used
}

// attachingSwitches are the switches of other tools that attach helpers. Of Shorewall:
// AUTOHELPERS (its default is Yes) makes a rule for each helper of HELPERS, or for all
// that there are; of firewalld before 1.0: AutomaticHelpers, which a running kernel
// shows itself.
func attachingSwitches(h *picture.Host) []inventory.ToolOption {
	says := func(tool, name, want string) bool {
		s, there := h.Inventory.ToolOption(tool, name)
		return there && strings.EqualFold(s.Value, want)
	}
	var found []inventory.ToolOption
	for _, s := range h.Inventory.ToolOptions {
		rules := strings.HasPrefix(s.Tool, "shorewall") && says(s.Tool, "STARTUP_ENABLED", "yes") && says(s.Tool, "AUTOHELPERS", "yes") &&
			(s.Name == "AUTOHELPERS" || s.Name == "HELPERS" && s.Value != "")
		kernel := s.Tool == "firewalld" && s.Name == "AutomaticHelpers" && strings.EqualFold(s.Value, "yes") && len(h.Settings) == 0
		if rules || kernel {
			found = append(found, s)
		}
	}
	return found
}

// automatic reports whether the kernel attaches helpers by port number alone, and what
// it says about it. Kernels before 3.5 have no key for it and always do, kernels since
// 6.0 have none and never do: those are told by a key of 5.14.
func automatic(h *picture.Host) (on bool, says string) {
	value, there := h.Settings["helper"]
	_, live := h.Settings["max"]
	_, late := h.Settings["tcp_ignore_invalid_rst"]
	switch {
	case there:
		return value == "1", value
	case live && !late:
		return true, "no such key: this kernel always attaches helpers by port"
	}
	return false, ""
}

// usesHelper reports whether a helper is attached to connections: by a rule of its
// own, or by something that attaches all of them while its module is in the kernel.
func usesHelper(h *picture.Host, name string) bool {
	for _, rule := range h.Rules.Helpers {
		if rule.Name == name || picture.HelperModuleOf(rule.Name) == picture.HelperModuleOf(name) {
			return true
		}
	}
	inKernel := isHelperInKernel(h, picture.HelperModuleOf(name))
	if on, _ := automatic(h); on && inKernel {
		return true
	}
	return slices.ContainsFunc(attachingSwitches(h), func(s inventory.ToolOption) bool {
		if s.Name == "HELPERS" {
			return slices.Contains(strings.FieldsFunc(s.Value, func(r rune) bool { return r == ',' || r == ' ' }), name)
		}
		list, _ := h.Inventory.ToolOption(s.Tool, "HELPERS")
		return inKernel && list.Value == ""
	})
}

func isHelperInKernel(h *picture.Host, module string) bool {
	return slices.ContainsFunc(helpers(h), func(m picture.HelperModule) bool { return m.Name == module })
}

// helpers are the helpers' modules in the kernel, those too that only /proc/modules
// tells of.
func helpers(h *picture.Host) []picture.HelperModule {
	all := slices.Clone(h.HelperModules)
	for _, name := range slices.Sorted(maps.Keys(picture.HelperModules())) {
		seen := slices.ContainsFunc(all, func(m picture.HelperModule) bool { return m.Name == name })
		listed := slices.ContainsFunc(h.Modules, func(m kmod.ProcModule) bool { return m.Name == name })
		switch {
		case seen:
		case listed:
			all = append(all, picture.HelperModule{Name: name, State: kmod.Loaded})
		case h.Index.BuiltIn[name]:
			all = append(all, picture.HelperModule{Name: name, State: kmod.BuiltIn})
		}
	}
	return all
}

// checkAutomatic finds helpers that the kernel attaches by port number alone: on
// kernels before 6.0, where nf_conntrack_helper is 1.
func checkAutomatic(h *picture.Host) []finding.Finding {
	f := finding.Finding{
		ID: "helper-automatic", Severity: finding.Warning,
		Summary: "helpers are attached to every connection by its port number alone",
		Note: "A helper believes what the peers write: one that nobody asked for lets them open ports of the firewall, which is why the kernel's default is off since 4.7. " +
			"Before you turn it off give each flow that needs a helper a rule of its own, as: iptables -t raw -A PREROUTING -p udp --dport 5060 -j CT --helper sip",
	}
	value, live := h.Settings["helper"]
	switch {
	case live && value == "1":
		f.Evidence = append(f.Evidence, finding.Seen(helperFile, 0, value))
	case live, len(h.Settings) > 0:
		return nil // off, or a kernel that has it no longer
	}
	for _, a := range h.Inventory.Assignments {
		on := a.Value == "1" || strings.EqualFold(a.Value, "y")
		if a.NoEffect == "" && on && (a.Name == "helper" || a.Parameter && a.Name == "nf_conntrack_helper") {
			f.Evidence = append(f.Evidence, finding.At(a.Place, a.Key+"="+a.Value))
		}
	}
	for _, s := range attachingSwitches(h) {
		if s.Tool == "firewalld" {
			f.Evidence = append(f.Evidence, picture.SwitchEvidence(s))
		}
	}
	if len(f.Evidence) == 0 {
		return nil
	}
	if w, asked := h.Want("helper"); asked && w.Value == sysfs.Number(0) && !live {
		return nil // ctkeeper will turn it off
	}
	f.Fix = fixes.Configure(h, "helpers", []fixes.Entry{{"helper", "false"}}, nil)
	return []finding.Finding{f}
}

// checkHelperModules finds rules whose helper's module the kernel cannot load: then
// the rule cannot be loaded either, and mostly none of the firewall's.
func checkHelperModules(h *picture.Host) []finding.Finding {
	var findings []finding.Finding
	done := map[string]bool{}
	for _, rule := range h.Rules.Helpers {
		module := picture.HelperModuleOf(rule.Name)
		if module == "" || done[module] || isHelperInKernel(h, module) {
			continue // not of the kernel, or there
		}
		done[module] = true
		f := finding.Finding{ID: "helper-module-missing", Severity: finding.Error, Evidence: []finding.Evidence{finding.At(rule.Place, rule.Rule)}}
		barred := blockedBy(h, module)
		switch {
		case h.IndexErr == nil && h.Index.Path(module) == "":
			f.Summary = fmt.Sprintf("a firewall rule wants the helper %s, and %s has no file for this kernel", rule.Name, module)
			f.Evidence = append(f.Evidence, finding.Seen(h.Index.Dir+"/modules.dep", 0, "no "+module))
			f.Fix = []string{cmp.Or(h.Distro.ReinstallExtraModules(h.Release), h.Distro.ReinstallKernel(h.Release))}
		case len(barred) > 0:
			f.Summary = fmt.Sprintf("a firewall rule wants the helper %s, and %s is kept from loading", rule.Name, module)
			f.Evidence = append(f.Evidence, barred...)
			f.Fix = fixes.CommentOut(h, barred)
		default:
			continue
		}
		findings = append(findings, f)
	}
	return findings
}

// blockedBy are the lines of modprobe.d that keep the kernel from loading a module for a
// rule: a rule asks for it by an alias (nfct-helper-sip), to which blacklists apply.
func blockedBy(h *picture.Host, module string) []finding.Evidence {
	modprobe := h.Inventory.Modprobe
	var barred []finding.Evidence
	for _, d := range slices.Concat(modprobe.Find("blacklist", module), modprobe.BlockingInstalls(module)) {
		barred = append(barred, finding.At(d.Place, strings.TrimSpace(d.Kind+" "+d.Module+" "+d.Args)))
	}
	return barred
}

// checkUnusedHelpers finds helper modules that somebody loaded and that help no
// connection.
func checkUnusedHelpers(h *picture.Host) []finding.Finding {
	if !h.Tree.Live() || len(h.Rules.Sources) == 0 {
		return nil // the rules of a disk may come from anywhere
	}
	f := finding.Finding{
		ID: "helper-without-rule", Severity: finding.Info,
		Summary: "helper modules are loaded, and no rule attaches them to a connection",
		Note:    "A helper does nothing until a rule attaches it (-j CT --helper in iptables' raw table, a ct helper object in nft): the kernel no longer does by itself since 4.7.",
	}
	for _, m := range helpers(h) {
		if m.State != kmod.Loaded {
			continue
		}
		used := slices.ContainsFunc(picture.HelperModules()[m.Name], func(name string) bool { return usesHelper(h, name) })
		if !used {
			f.Evidence = append(f.Evidence, finding.Seen("/sys/module/"+m.Name, 0, "loaded"))
		}
	}
	if len(f.Evidence) == 0 {
		return nil
	}
	if len(h.Rules.Skipped) > 0 {
		f.Note += " Not all rules could be read."
	}
	return []finding.Finding{f}
}

// checkHelpers tells who may fill the expectation table: what attaches helpers, the
// modules with their parameters, and how many expectations each helper has now. The
// helpers that are merely part of the kernel are left out.
func checkHelpers(h *picture.Host) []finding.Finding {
	f := finding.Finding{ID: "helpers", Severity: finding.Info, Summary: "conntrack helpers are in use or loaded: they are what fills the expectation table", Evidence: helpersUsed(h)}
	for _, m := range helpers(h) {
		if m.State != kmod.Loaded && !slices.ContainsFunc(picture.HelperModules()[m.Name], func(name string) bool { return usesHelper(h, name) }) {
			continue
		}
		f.Evidence = append(f.Evidence, finding.Seen("/sys/module/"+m.Name, 0, string(m.State)))
		f.Evidence = append(f.Evidence, m.Parameters...)
	}
	f.Evidence = append(f.Evidence, expectationsByHelper(h)...)
	if len(f.Evidence) == 0 {
		return nil
	}
	return []finding.Finding{f}
}

// expectationsByHelper is how many expectations each helper has, most first.
func expectationsByHelper(h *picture.Host) []finding.Evidence {
	if h.ExpectationsBy[""] > 0 && len(h.ExpectationsBy) == 1 {
		return nil // a kernel that does not tell the helper
	}
	names := slices.Sorted(maps.Keys(h.ExpectationsBy))
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(h.ExpectationsBy[b], h.ExpectationsBy[a]) })
	var list []finding.Evidence
	for _, name := range names {
		list = append(list, finding.At(tree.Place{File: picture.ExpectationsFile}, fmt.Sprintf("%s: %d", cmp.Or(name, "without a helper"), h.ExpectationsBy[name])))
	}
	return list
}

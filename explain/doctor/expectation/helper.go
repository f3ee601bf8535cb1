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
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// mostRules is how many rules of one helper a finding shows.
const mostRules = 5

const helperFile = "/proc/sys/net/netfilter/nf_conntrack_helper"

// helpersInUse returns everything that attaches helpers to connections: rules, the live ones first,
// options of tools, and the kernel itself by port.
func helpersInUse(h *picture.Host) []finding.Evidence {
	var used []finding.Evidence
	for _, isLive := range []bool{true, false} {
		count := map[string]int{}
		for _, rule := range h.Rules.Helpers {
			if rule.Live != isLive {
				continue
			}
			if count[rule.Name]++; count[rule.Name] <= mostRules {
				used = append(used, finding.At(rule.Place, cmp.Or(rule.Rule, "helper "+rule.Name)))
			}
		}
	}
	for _, o := range attachingOptions(h) {
		used = append(used, picture.OptionEvidence(o))
	}
	if isAutomatic, text := kernelAttaches(h); isAutomatic {
		used = append(used, finding.Seen(helperFile, 0, text))
	}
	return used
}

// attachingOptions returns the options of tools that attach helpers. AUTOHELPERS of Shorewall, by default
// Yes, makes a rule for each helper of HELPERS, or for all helpers. AutomaticHelpers of firewalld before
// 1.0 makes the kernel attach them, which a running kernel shows itself.
func attachingOptions(h *picture.Host) []inventory.ToolOption {
	isYes := func(tool, name string) bool {
		o, found := h.Inventory.ToolOption(tool, name)
		return found && strings.EqualFold(o.Value, "yes")
	}
	var found []inventory.ToolOption
	for _, o := range h.Inventory.ToolOptions {
		isShorewall := strings.HasPrefix(o.Tool, "shorewall") && isYes(o.Tool, "STARTUP_ENABLED") && isYes(o.Tool,
			"AUTOHELPERS") &&
			(o.Name == "AUTOHELPERS" || o.Name == "HELPERS" && o.Value != "")
		isFirewalld := o.Tool == "firewalld" && o.Name == "AutomaticHelpers" && strings.EqualFold(o.Value, "yes")
		if isShorewall || isFirewalld && len(h.Settings) == 0 {
			found = append(found, o)
		}
	}
	return found
}

// kernelAttaches reports whether the kernel attaches helpers by port number alone, and returns what shows
// it. Kernels before 3.5 have no key for it and always do. Kernels since 6.0 have no key and never do;
// they have a key of 5.14.
func kernelAttaches(h *picture.Host) (isAutomatic bool, text string) {
	value, hasKey := h.Settings["helper"]
	_, isLive := h.Settings["max"]
	_, isNew := h.Settings["tcp_ignore_invalid_rst"]
	switch {
	case hasKey:
		return value == "1", value
	case isLive && !isNew:
		return true, "no such key: this kernel always attaches helpers by port"
	}
	return false, ""
}

// usesHelper reports whether a helper is attached to connections: by a rule of its own, or by something
// that attaches all helpers whose modules are loaded.
func usesHelper(h *picture.Host, name string) bool {
	module := picture.HelperModuleOf(name)
	for _, rule := range h.Rules.Helpers {
		if rule.Name == name || picture.HelperModuleOf(rule.Name) == module {
			return true
		}
	}
	isLoaded := isHelperLoaded(h, module)
	if isAutomatic, _ := kernelAttaches(h); isAutomatic && isLoaded {
		return true
	}
	return slices.ContainsFunc(attachingOptions(h), func(o inventory.ToolOption) bool {
		if o.Name == "HELPERS" {
			return slices.Contains(strings.FieldsFunc(o.Value, func(r rune) bool { return r == ',' || r == ' ' }), name)
		}
		list, _ := h.Inventory.ToolOption(o.Tool, "HELPERS")
		return isLoaded && list.Value == ""
	})
}

// isUsed reports whether one of a module's helpers is attached to connections.
func isUsed(h *picture.Host, module string) bool {
	return slices.ContainsFunc(picture.HelperModules()[module], func(name string) bool { return usesHelper(h, name) })
}

func isHelperLoaded(h *picture.Host, module string) bool {
	return slices.ContainsFunc(helperModules(h), func(m picture.HelperModule) bool { return m.Name == module })
}

// helperModules returns the helper modules that the kernel has, including those that only /proc/modules
// or modules.builtin lists.
func helperModules(h *picture.Host) []picture.HelperModule {
	all := slices.Clone(h.HelperModules)
	for _, name := range slices.Sorted(maps.Keys(picture.HelperModules())) {
		switch {
		case slices.ContainsFunc(h.HelperModules, func(m picture.HelperModule) bool { return m.Name == name }):
		case h.IsListed(name):
			all = append(all, picture.HelperModule{Name: name, State: kmod.Loaded})
		case h.Index.BuiltIn[name]:
			all = append(all, picture.HelperModule{Name: name, State: kmod.BuiltIn})
		}
	}
	return all
}

// checkAutomatic reports that the kernel attaches helpers by port number alone: kernels before 6.0 do
// where nf_conntrack_helper is 1.
func checkAutomatic(h *picture.Host) []finding.Finding {
	f := finding.Finding{
		ID: "helper-automatic", Severity: finding.Info, // old kernels' default, or somebody wants it
		Summary: "helpers are attached to every connection by its port number alone",
		Note: "A helper trusts what the peers send: with a helper that no rule attaches, they can open ports of the " +
			"firewall. " +
			"Therefore the kernel's default is off since 4.7. " +
			"Before you turn it off, write a rule for each flow that needs a helper, for example: " +
			"iptables -t raw -A PREROUTING -p udp --dport 5060 -j CT --helper sip",
	}
	value, isLive := h.Settings["helper"]
	switch {
	case isLive && value == "1":
		f.Evidence = append(f.Evidence, finding.Seen(helperFile, 0, value))
	case isLive, len(h.Settings) > 0:
		return nil // off, or a kernel that no longer has it
	}
	for _, a := range h.Inventory.Assignments {
		isOn := a.Value == "1" || strings.EqualFold(a.Value, "y")
		if a.NoEffect == "" && isOn && (a.Name == "helper" || a.Parameter && a.Name == "nf_conntrack_helper") {
			f.Evidence = append(f.Evidence, finding.At(a.Place, a.Key+"="+a.Value))
		}
	}
	for _, o := range attachingOptions(h) {
		if o.Tool == "firewalld" {
			f.Evidence = append(f.Evidence, picture.OptionEvidence(o))
		}
	}
	if len(f.Evidence) == 0 {
		return nil
	}
	if w, wanted := h.Want("helper"); wanted && w.Value == sysfs.Number(0) && !isLive {
		return nil // ctkeeper will turn it off
	}
	return []finding.Finding{f}
}

// checkHelperModules reports rules whose helper's module the kernel cannot load. Then the rule fails, and
// with most firewalls the whole rule set.
func checkHelperModules(h *picture.Host) []finding.Finding {
	var found []finding.Finding
	done := map[string]bool{}
	for _, rule := range h.Rules.Helpers {
		module := picture.HelperModuleOf(rule.Name)
		if module == "" || done[module] || isHelperLoaded(h, module) {
			continue // not a helper of the kernel, or loaded
		}
		done[module] = true
		f := finding.Finding{
			ID: "helper-module-missing", Severity: finding.Error,
			Evidence: []finding.Evidence{finding.At(rule.Place, rule.Rule)},
		}
		blocks := blockingLines(h, module)
		switch {
		case h.IndexErr == nil && h.Index.Path(module) == "":
			f.Summary = fmt.Sprintf("a firewall rule needs the helper %s, and %s has no file for this kernel",
				rule.Name, module)
			f.Evidence = append(f.Evidence, finding.Seen(h.Index.Dir+"/modules.dep", 0, "no "+module))
			f.Fix = h.Distro.ReinstallExtraModules(h.Release)
			if len(f.Fix) == 0 {
				f.Fix = h.Distro.ReinstallKernel(h.Release)
			}
		case len(blocks) > 0:
			f.Summary = fmt.Sprintf("a firewall rule needs the helper %s, and %s is blocked from loading",
				rule.Name, module)
			f.Evidence = append(f.Evidence, blocks...)
			f.Fix = fixes.CommentOut(h, finding.Places(blocks)...)
		default:
			continue
		}
		found = append(found, f)
	}
	return found
}

// blockingLines returns the lines of modprobe.d that keep the kernel from loading a module for a rule. A
// rule asks for it by an alias (nfct-helper-sip), to which blacklists apply.
func blockingLines(h *picture.Host, module string) []finding.Evidence {
	modprobe := h.Inventory.Modprobe
	var blocks []finding.Evidence
	for _, d := range slices.Concat(modprobe.Find("blacklist", module), modprobe.BlockingInstalls(module)) {
		blocks = append(blocks, picture.DirectiveEvidence(d))
	}
	return blocks
}

// checkUnusedHelpers reports helper modules that were loaded and that no rule uses. On a disk the rules
// can come from anywhere.
func checkUnusedHelpers(h *picture.Host) []finding.Finding {
	if !h.IsLive() || len(h.Rules.Sources) == 0 {
		return nil
	}
	f := finding.Finding{
		ID: "helper-without-rule", Severity: finding.Info,
		Summary: "helper modules are loaded, and no rule attaches them to a connection",
		Note: "A helper does nothing until a rule attaches it (-j CT --helper in iptables' raw table, a ct helper " +
			"object in nft): " +
			"since 4.7 the kernel does not attach it by itself.",
	}
	for _, m := range helperModules(h) {
		if m.State == kmod.Loaded && !isUsed(h, m.Name) {
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

// checkHelpers lists what can fill the expectation table: what attaches helpers, the modules with their
// parameters, and the expectations of each helper now. Built-in helpers that nothing uses are left out.
func checkHelpers(h *picture.Host) []finding.Finding {
	f := finding.Finding{
		ID: "helpers", Severity: finding.Info, Evidence: helpersInUse(h),
		Summary: "conntrack helpers are in use or loaded: they fill the expectation table",
	}
	for _, m := range helperModules(h) {
		if m.State == kmod.Loaded || isUsed(h, m.Name) {
			f.Evidence = append(f.Evidence, finding.Seen("/sys/module/"+m.Name, 0, string(m.State)))
			f.Evidence = append(f.Evidence, m.Parameters...)
		}
	}
	f.Evidence = append(f.Evidence, countsByHelper(h)...)
	if len(f.Evidence) == 0 {
		return nil
	}
	return []finding.Finding{f}
}

// countsByHelper returns the expectations of each helper, the most first. Some kernels do not show the
// helper of an expectation.
func countsByHelper(h *picture.Host) []finding.Evidence {
	if h.HelperCounts[""] > 0 && len(h.HelperCounts) == 1 {
		return nil
	}
	names := slices.Sorted(maps.Keys(h.HelperCounts))
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(h.HelperCounts[b], h.HelperCounts[a]) })
	var list []finding.Evidence
	for _, name := range names {
		text := fmt.Sprintf("%s: %d", cmp.Or(name, "without a helper"), h.HelperCounts[name])
		list = append(list, finding.Seen(picture.ExpectationsFile, 0, text))
	}
	return list
}

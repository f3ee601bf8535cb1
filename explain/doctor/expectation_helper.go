package doctor

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
)

// mostRules is how many rules of one helper stand in a finding.
const mostRules = 5

const helperFile = "/proc/sys/net/netfilter/nf_conntrack_helper"

// helpersUsed is everything that attaches helpers to connections: rules, live ones
// first, other tools' switches, and the kernel itself by port.
func (h *Host) helpersUsed() []Evidence {
	var used []Evidence
	for _, live := range []bool{true, false} {
		count := map[string]int{}
		for _, rule := range h.Rules.Helpers {
			if rule.Live != live {
				continue
			}
			if count[rule.Name]++; count[rule.Name] <= mostRules {
				used = append(used, Evidence{rule.Place, cmp.Or(rule.Rule, "helper "+rule.Name)})
			}
		}
	}
	for _, s := range h.attaching() {
		used = append(used, ofSwitch(s))
	}
	if on, text := h.automatic(); on {
		used = append(used, seen(helperFile, 0, text))
	}
	return used
}

// attaching are the switches of other tools that attach helpers. Of Shorewall:
// AUTOHELPERS (its default is Yes) makes a rule for each helper of HELPERS, or for all
// that there are; of firewalld before 1.0: AutomaticHelpers, which a running kernel
// shows itself.
func (h *Host) attaching() []inventory.ToolOption {
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
func (h *Host) automatic() (on bool, says string) {
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

func ofSwitch(s inventory.ToolOption) Evidence {
	text := s.Name + "=" + s.Value
	if s.Default {
		text += " (the default)"
	}
	return Evidence{s.Place, text}
}

// usesHelper reports whether a helper is attached to connections: by a rule of its
// own, or by something that attaches all of them while its module is in the kernel.
func (h *Host) usesHelper(name string) bool {
	for _, rule := range h.Rules.Helpers {
		if rule.Name == name || helperModule(rule.Name) == helperModule(name) {
			return true
		}
	}
	inKernel := h.helperInKernel(helperModule(name))
	if on, _ := h.automatic(); on && inKernel {
		return true
	}
	return slices.ContainsFunc(h.attaching(), func(s inventory.ToolOption) bool {
		if s.Name == "HELPERS" {
			return slices.Contains(strings.FieldsFunc(s.Value, func(r rune) bool { return r == ',' || r == ' ' }), name)
		}
		list, _ := h.Inventory.ToolOption(s.Tool, "HELPERS")
		return inKernel && list.Value == ""
	})
}

func (h *Host) helperInKernel(module string) bool {
	return slices.ContainsFunc(h.helpers(), func(m HelperModule) bool { return m.Name == module })
}

// helpers are the helpers' modules in the kernel, those too that only /proc/modules
// tells of.
func (h *Host) helpers() []HelperModule {
	all := slices.Clone(h.HelperModules)
	for _, name := range sorted(helperModules()) {
		seen := slices.ContainsFunc(all, func(m HelperModule) bool { return m.Name == name })
		listed := slices.ContainsFunc(h.Modules, func(m kmod.Listed) bool { return m.Name == name })
		switch {
		case seen:
		case listed:
			all = append(all, HelperModule{Name: name, State: kmod.Loaded})
		case h.Index.BuiltIn[name]:
			all = append(all, HelperModule{Name: name, State: kmod.BuiltIn})
		}
	}
	return all
}

// helperAutomatic finds helpers that the kernel attaches by port number alone: on
// kernels before 6.0, where nf_conntrack_helper is 1.
func helperAutomatic(h *Host) []Finding {
	f := Finding{
		ID: "helper-automatic", Severity: Warning,
		Summary: "helpers are attached to every connection by its port number alone",
		Note: "A helper believes what the peers write: one that nobody asked for lets them open ports of the firewall, which is why the kernel's default is off since 4.7. " +
			"Before you turn it off give each flow that needs a helper a rule of its own, as: iptables -t raw -A PREROUTING -p udp --dport 5060 -j CT --helper sip",
	}
	value, live := h.Settings["helper"]
	switch {
	case live && value == "1":
		f.Evidence = append(f.Evidence, seen(helperFile, 0, value))
	case live, len(h.Settings) > 0:
		return nil // off, or a kernel that has it no longer
	}
	for _, a := range h.Inventory.Assignments {
		on := a.Value == "1" || strings.EqualFold(a.Value, "y")
		if a.NoEffect == "" && on && (a.Name == "helper" || a.Parameter && a.Name == "nf_conntrack_helper") {
			f.Evidence = append(f.Evidence, Evidence{a.Place, a.Key + "=" + a.Value})
		}
	}
	for _, s := range h.attaching() {
		if s.Tool == "firewalld" {
			f.Evidence = append(f.Evidence, ofSwitch(s))
		}
	}
	if len(f.Evidence) == 0 {
		return nil
	}
	if w, asked := h.want("helper"); asked && w.Value == "0" && !live {
		return nil // ctkeeper will turn it off
	}
	f.Fix = h.configure("helpers", []entry{{"helper", "false"}}, nil)
	return []Finding{f}
}

// helperModuleMissing finds rules whose helper's module the kernel cannot load: then
// the rule cannot be loaded either, and mostly none of the firewall's.
func helperModuleMissing(h *Host) []Finding {
	var findings []Finding
	done := map[string]bool{}
	for _, rule := range h.Rules.Helpers {
		module := helperModule(rule.Name)
		if module == "" || done[module] || h.helperInKernel(module) {
			continue // not of the kernel, or there
		}
		done[module] = true
		f := Finding{ID: "helper-module-missing", Severity: Error, Evidence: []Evidence{{rule.Place, rule.Rule}}}
		barred := h.barred(module)
		switch {
		case h.IndexErr == nil && h.Index.Path(module) == "":
			f.Summary = fmt.Sprintf("a firewall rule wants the helper %s, and %s has no file for this kernel", rule.Name, module)
			f.Evidence = append(f.Evidence, seen(h.Index.Dir+"/modules.dep", 0, "no "+module))
			f.Fix = []string{cmp.Or(h.Distro.ReinstallExtraModules(h.Release), h.Distro.ReinstallKernel(h.Release))}
		case len(barred) > 0:
			f.Summary = fmt.Sprintf("a firewall rule wants the helper %s, and %s is kept from loading", rule.Name, module)
			f.Evidence = append(f.Evidence, barred...)
			f.Fix = h.commentOut(barred)
		default:
			continue
		}
		findings = append(findings, f)
	}
	return findings
}

// barred are the lines of modprobe.d that keep the kernel from loading a module for a
// rule: a rule asks for it by an alias (nfct-helper-sip), to which blacklists apply.
func (h *Host) barred(module string) []Evidence {
	lines := h.Inventory.Modprobe.Of("blacklist", module)
	for _, d := range h.Inventory.Modprobe.Of("install", module) {
		command := strings.TrimSpace(d.Args)
		if slices.Contains([]string{"false", "true"}, command[strings.LastIndex(command, "/")+1:]) {
			lines = append(lines, d)
		}
	}
	var barred []Evidence
	for _, d := range lines {
		barred = append(barred, Evidence{d.Place, strings.TrimSpace(d.Kind + " " + d.Module + " " + d.Args)})
	}
	return barred
}

// commentOut gives a command for each file that has one of the lines. What stands on
// several lines of a file, a backslash at their end, is out with its first.
func (h *Host) commentOut(lines []Evidence) []string {
	lines = slices.SortedFunc(slices.Values(lines), func(a, b Evidence) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	var fix []string
	for len(lines) > 0 {
		file, scripts := lines[0].File, []string{}
		for len(lines) > 0 && lines[0].File == file {
			scripts = append(scripts, fmt.Sprintf("%ds/^/# /", lines[0].Line))
			lines = lines[1:]
		}
		fix = append(fix, edit(h.Tree, file, strings.Join(slices.Compact(scripts), ";")))
	}
	return fix
}

// helperWithoutRule finds helper modules that somebody loaded and that help no
// connection.
func helperWithoutRule(h *Host) []Finding {
	if !h.Tree.Live() || len(h.Rules.Sources) == 0 {
		return nil // the rules of a disk may come from anywhere
	}
	f := Finding{
		ID: "helper-without-rule", Severity: Info,
		Summary: "helper modules are loaded, and no rule attaches them to a connection",
		Note:    "A helper does nothing until a rule attaches it (-j CT --helper in iptables' raw table, a ct helper object in nft): the kernel no longer does by itself since 4.7.",
	}
	for _, m := range h.helpers() {
		if m.State != kmod.Loaded {
			continue
		}
		used := slices.ContainsFunc(helperModules()[m.Name], h.usesHelper)
		if !used {
			f.Evidence = append(f.Evidence, seen("/sys/module/"+m.Name, 0, "loaded"))
		}
	}
	if len(f.Evidence) == 0 {
		return nil
	}
	if len(h.Rules.Skipped) > 0 {
		f.Note += " Not all rules could be read."
	}
	return []Finding{f}
}

// helpersListed tells who may fill the expectation table: what attaches helpers, the
// modules with their parameters, and how many expectations each helper has now. The
// helpers that are merely part of the kernel are left out.
func helpersListed(h *Host) []Finding {
	f := Finding{ID: "helpers", Severity: Info, Summary: "conntrack helpers are in use or loaded: they are what fills the expectation table", Evidence: h.helpersUsed()}
	for _, m := range h.helpers() {
		if m.State != kmod.Loaded && !slices.ContainsFunc(helperModules()[m.Name], h.usesHelper) {
			continue
		}
		f.Evidence = append(f.Evidence, seen("/sys/module/"+m.Name, 0, string(m.State)))
		f.Evidence = append(f.Evidence, m.Parameters...)
	}
	f.Evidence = append(f.Evidence, h.expectationsByHelper()...)
	if len(f.Evidence) == 0 {
		return nil
	}
	return []Finding{f}
}

// expectationsByHelper is how many expectations each helper has, most first.
func (h *Host) expectationsByHelper() []Evidence {
	if h.ExpectationsBy[""] > 0 && len(h.ExpectationsBy) == 1 {
		return nil // a kernel that does not tell the helper
	}
	names := sorted(h.ExpectationsBy)
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(h.ExpectationsBy[b], h.ExpectationsBy[a]) })
	var list []Evidence
	for _, name := range names {
		list = append(list, Evidence{tree.Place{File: expectations}, fmt.Sprintf("%s: %d", cmp.Or(name, "without a helper"), h.ExpectationsBy[name])})
	}
	return list
}

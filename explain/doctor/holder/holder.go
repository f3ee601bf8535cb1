package holder

import (
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
)

// Check reports, for each firewall that unloads modules when it stops, whether a restart unloads
// nf_conntrack and resets its values to the kernel's. It explains why one host resets and another one
// with the same configuration does not.
func Check(h *picture.Host) []finding.Finding {
	isAbsent := !h.Offline && h.Module.State == kmod.Absent
	isUnused := isAbsent && len(h.NeededBy())+len(h.Inventory.Assignments) == 0
	if h.Module.State == kmod.BuiltIn || isUnused { // nothing to reset
		return nil
	}
	var found []finding.Finding
	for _, o := range h.Inventory.ToolOptions {
		stop, unloads := stopOf(h, o)
		if !unloads || !h.Services[o.Tool] {
			continue
		}
		if len(h.Modules) == 0 || isAbsent {
			f := resetFinding(h, o, nil)
			hint := "What else would hold the module cannot be seen here."
			if isAbsent {
				hint = "What else would hold the module can only be seen while it is loaded."
			}
			f.Note = finding.JoinNotes(f.Note, hint)
			found = append(found, f)
			continue
		}
		// Without its tables in the kernel the script stops nothing, and unloads nothing.
		if o.Tool == "iptables" && !h.IsLoaded("ip_tables") || o.Tool == "ip6tables" && !h.IsLoaded("ip6_tables") {
			continue
		}
		usesOther := func(module string) bool { return otherFamilyUses(h, stop, module) }
		unloaded, holders := unload(h.Modules, kmod.Conntrack, stop, usesOther)
		if stop.nft {
			holders = append(holders, foreignTables(h, stop)...)
		}
		if len(holders) > 0 {
			found = append(found, heldFinding(o, holders))
		} else {
			found = append(found, resetFinding(h, o, unloaded))
		}
	}
	return found
}

// stopOf reports whether an option makes its tool unload modules when it stops, and returns which rules
// are removed before. The init script flushes the tables of its family. firewalld removes its own table of
// nf_tables and flushes iptables of both families; with CleanupOnExit=no its rules stay, and hold the
// modules (stop in core/fw.py, 1.3.3). Where its version goes by FirewallBackend, it leaves iptables alone,
// unless that is the backend or it has direct rules (may_skip_flush_direct_backends, 2.0).
func stopOf(h *picture.Host, o inventory.ToolOption) (s stop, unloads bool) {
	value := strings.ToLower(strings.Trim(o.Value, `"'`))
	switch {
	case o.Tool == "iptables" && o.Name == "IPTABLES_MODULES_UNLOAD":
		return stop{ip4: true}, value == "yes"
	case o.Tool == "ip6tables" && o.Name == "IP6TABLES_MODULES_UNLOAD":
		return stop{ip6: true}, value == "yes"
	case o.Tool == "firewalld" && o.Name == "CleanupModulesOnExit":
		onExit, _ := h.Inventory.ToolOption("firewalld", "CleanupOnExit")
		stays := slices.Contains([]string{"no", "false"}, strings.ToLower(onExit.Value))
		backend, goesByBackend := h.Inventory.ToolOption("firewalld", "FirewallBackend")
		flushes := !goesByBackend || backend.Value == "iptables" ||
			slices.Contains(h.Rules.Sources, "/etc/firewalld/direct.xml")
		return stop{ip4: flushes, ip6: flushes, nft: true}, (value == "yes" || value == "true") && !stays
	}
	return stop{}, false
}

// foreignTables returns the tables of nf_tables that firewalld does not remove when it stops and that hold
// the tracker. Those of iptables-nft have fixed names.
func foreignTables(h *picture.Host, s stop) []holder {
	var holders []holder
	for _, table := range slices.Sorted(maps.Keys(h.Rules.NftTables)) {
		family, name, _ := strings.Cut(table, " ")
		isFlushed := s.ip4 && strings.HasPrefix(family, "ip") &&
			slices.Contains([]string{"filter", "nat", "mangle", "raw", "security"}, name)
		if !strings.HasPrefix(name, "firewalld") && !isFlushed {
			holders = append(holders, holder{h.Rules.NftTables[table], 0, "nftables in the table " + table})
		}
	}
	return holders
}

// otherFamilyUses reports whether the rules that remain after a stop use a module that serves both
// families. /proc/modules does not show whose rules use it, the saved rules do.
func otherFamilyUses(h *picture.Host, s stop, module string) bool {
	if !s.ip4 && !s.ip6 {
		return true
	}
	remaining, tool := only6, "ip6tables"
	if s.ip6 {
		remaining, tool = only4, "iptables"
	}
	if !hasRules(h.Modules, remaining) {
		return false
	}
	modules, isSaved := h.SavedModules[tool]
	_, uses := modules[module]
	return !isSaved || uses
}

// resetFinding is the finding about a firewall whose restart unloads nf_conntrack.
func resetFinding(h *picture.Host, o inventory.ToolOption, unloaded []string) finding.Finding {
	decides := decidingOption(h, o)
	f := finding.Finding{
		ID: "firewall-restart-resets", Severity: finding.Warning,
		Summary: fmt.Sprintf("a restart of %s unloads nf_conntrack and loads it again: "+
			"its values are reset to the kernel's defaults", o.Tool),
		Evidence: []finding.Evidence{picture.OptionEvidence(decides)},
		Fix:      keepModules(h, decides),
		Note: "Another host keeps its values only where something else holds the module, " +
			"for example rules of the other IP version.",
	}
	if o.Tool == "firewalld" {
		f.Note = finding.JoinNotes(f.Note, "firewalld reads this option when it starts. "+
			"It tries once to unload each module, so a single restart can leave it loaded.")
	}
	if decides != o {
		f.Note = finding.JoinNotes(f.Note, "This version, before 1.0, unloads the modules together with its rules: "+
			"with CleanupOnExit=no both stay when it stops.")
	}
	if len(unloaded) > 0 {
		f.Evidence = append(f.Evidence, finding.Seen(picture.ModulesFile, 0,
			"would be unloaded: "+strings.Join(unloaded, ", ")))
	}
	evidence, note := setAgain(h, o)
	f.Evidence, f.Note = append(f.Evidence, evidence...), finding.JoinNotes(f.Note, note)
	if o.Tool == "firewalld" && o.Default && len(h.Inventory.Assignments) == 0 && !h.IsConfigured() {
		f.Severity, f.Fix = finding.Info, nil // as it is installed, and nothing sets a value that could be lost
	}
	if h.IsEnforcing() {
		f.Severity = finding.Info
		f.Summary += "; ctkeeper repairs them at once"
		f.Fix = nil
	}
	return f
}

// setAgain returns what sets values again after such a restart: the firewall itself, and what runs
// whenever the module is loaded.
func setAgain(h *picture.Host, o inventory.ToolOption) (evidence []finding.Evidence, note string) {
	var tools, names []string
	for _, a := range h.Inventory.Assignments {
		isThen := a.Phase == inventory.AfterModuleLoad || a.Phase == inventory.AtFirewallStart && a.Tool == o.Tool
		if isThen && h.HasEffect(a) {
			tools, names = append(tools, a.Tool), append(names, picture.KernelName(a))
			evidence = append(evidence, h.AssignmentEvidence(a))
		}
	}
	tools, names = finding.Unique(tools), finding.Unique(names)
	switch {
	case len(names) > 0:
		verb := "sets"
		if len(tools) > 1 {
			verb = "set"
		}
		note = fmt.Sprintf("%s then %s %s again, and nothing else.", finding.List(tools), verb, strings.Join(names,
			", "))
	case o.Tool == "iptables" || o.Tool == "ip6tables":
		note = fmt.Sprintf("Nothing sets them again. Where the modules have to be unloaded, "+
			"%s_SYSCTL_LOAD_LIST=\".nf_conntrack\" "+
			"in the same file makes the script apply those lines of the sysctl files.", strings.ToUpper(o.Tool))
	default:
		note = "Nothing sets them again."
	}
	return evidence, note
}

// heldFinding is the finding about a host where something holds the module.
func heldFinding(o inventory.ToolOption, holders []holder) finding.Finding {
	f := finding.Finding{
		ID: "module-held", Severity: finding.Info,
		Summary: fmt.Sprintf("a restart of %s does not unload nf_conntrack, because %s holds it; "+
			"a host without that resets to the kernel's defaults", o.Tool, holders[0].module),
		Evidence: []finding.Evidence{picture.OptionEvidence(o)},
	}
	for _, holder := range holders {
		f.Evidence = append(f.Evidence, finding.Seen(picture.ModulesFile, 0, holder.String()))
	}
	return f
}

// decidingOption returns the option that decides whether a tool unloads modules. firewalld before 1.0 has
// no option of its own for it, and goes by CleanupOnExit.
func decidingOption(h *picture.Host, o inventory.ToolOption) inventory.ToolOption {
	if onExit, found := h.Inventory.ToolOption("firewalld", "CleanupOnExit"); found && o.Tool == "firewalld" &&
		o.Default {
		return onExit
	}
	return o
}

// keepModules returns the steps after which a firewall does not unload modules.
func keepModules(h *picture.Host, o inventory.ToolOption) []finding.Step {
	line := o.Name + `="no"`
	if o.Tool == "firewalld" {
		line = o.Name + "=no"
	}
	if o.Default {
		return fixes.Append(h, o.File, line)
	}
	return fixes.Edit(h, []tree.Place{o.Place}, func(tree.Place, string) string { return line })
}

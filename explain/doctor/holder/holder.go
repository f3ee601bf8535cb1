package holder

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/explain/firewall"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/shell"
	"github.com/ctkeeper/ctkeeper/kmod"
)

const maxRules = 8 << 20

// Check works out, for each firewall that unloads modules when it stops,
// whether nf_conntrack goes and comes back with the kernel's values: why this host
// resets and its neighbour does not.
func Check(h *picture.Host) []finding.Finding {
	absent := !h.Offline && h.Module.State == kmod.Absent
	if h.Module.State == kmod.BuiltIn || absent && len(h.NeededBy()) == 0 { // nothing to reset
		return nil
	}
	var found []finding.Finding
	for _, s := range h.Inventory.ToolOptions {
		how, unloads := unloader(s)
		if !unloads || !hasService(h, s.Tool) {
			continue
		}
		if len(h.Modules) == 0 || absent {
			f := resets(h, s, nil)
			hint := "What else would hold the module cannot be seen here."
			if absent {
				hint = "What else would hold the module shows only while it is loaded."
			}
			f.Note = finding.JoinNotes(f.Note, hint)
			found = append(found, f)
			continue
		}
		// Without its tables in the kernel the script stops nothing, and unloads nothing.
		if s.Tool == "iptables" && !h.IsLoaded("ip_tables") || s.Tool == "ip6tables" && !h.IsLoaded("ip6_tables") {
			continue
		}
		falls, holds := unloading(h.Modules, kmod.Conntrack, how, func(module string) bool { return otherFamilyUses(h, how, module) })
		if len(holds) > 0 {
			found = append(found, held(h, s, holds))
		} else {
			found = append(found, resets(h, s, falls))
		}
	}
	return found
}

// unloader reports whether a switch has its tool unload modules when it stops, and
// which rules are gone by then. The init script flushes the tables of its family;
// firewalld flushes everything that it made, of both.
func unloader(s inventory.ToolOption) (how stop, unloads bool) {
	value := strings.ToLower(strings.Trim(s.Value, `"'`))
	switch {
	case s.Tool == "iptables" && s.Name == "IPTABLES_MODULES_UNLOAD":
		return stop{ip4: true}, value == "yes"
	case s.Tool == "ip6tables" && s.Name == "IP6TABLES_MODULES_UNLOAD":
		return stop{ip6: true}, value == "yes"
	case s.Tool == "firewalld" && s.Name == "CleanupModulesOnExit":
		return stop{ip4: true, ip6: true, nft: true}, value == "yes" || value == "true"
	}
	return stop{}, false
}

// hasService reports whether the tool's service can be on this host: Red Hat's
// package iptables brings its configuration also where firewalld is the firewall
// and the script is not there.
func hasService(h *picture.Host, tool string) bool {
	if tool == "firewalld" || !h.Tree.Exists("/etc/firewalld/firewalld.conf") {
		return true
	}
	return slices.ContainsFunc([]string{
		"/etc/init.d/" + tool, "/etc/rc.d/init.d/" + tool,
		"/usr/libexec/iptables/" + tool + ".init", "/usr/lib/systemd/system/" + tool + ".service",
	}, h.Tree.Exists)
}

// otherFamilyUses reports whether the rules that a stop leaves use a module that
// serves both families: /proc/modules does not tell whose rules they are, the saved
// rules do.
func otherFamilyUses(h *picture.Host, s stop, module string) bool {
	left, file := only6, "/etc/sysconfig/ip6tables"
	if s.ip6 {
		left, file = only4, "/etc/sysconfig/iptables"
	}
	if !hasRules(h.Modules, left) {
		return false
	}
	text, err := h.Tree.Read(file, maxRules)
	if err != nil {
		return true
	}
	_, uses := firewall.ParseIptablesSave(file, text).Modules[module]
	return uses
}

// resets is the finding of a firewall whose restart takes the module along.
func resets(h *picture.Host, s inventory.ToolOption, falls []string) finding.Finding {
	f := finding.Finding{
		ID: "firewall-restart-resets", Severity: finding.Warning,
		Summary:  fmt.Sprintf("a restart of %s unloads nf_conntrack and loads it again: its values fall back to the kernel's", s.Tool),
		Evidence: []finding.Evidence{picture.SwitchEvidence(s)},
		Fix:      keepModules(decidingSwitch(h, s)),
		Note:     "Another host keeps its values only where something else holds the module, such as rules of the other IP version.",
	}
	if s.Tool == "firewalld" {
		f.Note = finding.JoinNotes(f.Note, "firewalld reads this when it starts.")
	}
	if decides := decidingSwitch(h, s); decides != s {
		f.Evidence = []finding.Evidence{picture.SwitchEvidence(decides)}
		f.Note = finding.JoinNotes(f.Note, "This version, before 1.0, unloads the modules with its rules: with CleanupOnExit=no both stay when it stops.")
	}
	if len(falls) > 0 {
		f.Evidence = append(f.Evidence, finding.Seen("/proc/modules", 0, "would be unloaded: "+strings.Join(falls, ", ")))
	}
	f.Note = finding.JoinNotes(f.Note, setAgain(h, s, &f))
	if h.IsEnforcing() {
		f.Severity = finding.Info
		f.Summary += "; ctkeeper puts them back at once"
		f.Fix = nil
	}
	return f
}

// setAgain says what sets values again after such a restart, with the lines as
// evidence: the firewall itself, and what is done whenever the module is loaded.
func setAgain(h *picture.Host, s inventory.ToolOption, f *finding.Finding) string {
	var by, back []string
	for _, a := range h.Inventory.Assignments {
		if a.Phase != inventory.AfterModuleLoad && (a.Phase != inventory.AtFirewallStart || a.Tool != s.Tool) || !h.HasEffect(a) {
			continue
		}
		by, back = append(by, a.Tool), append(back, picture.KernelName(a))
		f.Evidence = append(f.Evidence, h.AssignmentEvidence(a))
	}
	switch {
	case len(back) == 1 || len(finding.Unique(by)) == 1 && len(by) > 0:
		return fmt.Sprintf("%s then sets %s again, and nothing else.", by[0], strings.Join(finding.Unique(back), ", "))
	case len(back) > 0:
		return fmt.Sprintf("%s then set %s again, and nothing else.", strings.Join(finding.Unique(by), " and "), strings.Join(finding.Unique(back), ", "))
	case s.Tool == "iptables" || s.Tool == "ip6tables":
		return fmt.Sprintf("Nothing sets them again. Where the modules have to be unloaded, %s_SYSCTL_LOAD_LIST=\".nf_conntrack\" in the same file has the script apply those lines of the sysctl files.", strings.ToUpper(s.Tool))
	}
	return "Nothing sets them again."
}

// held is the finding of a host where something keeps the module.
func held(h *picture.Host, s inventory.ToolOption, holds []hold) finding.Finding {
	f := finding.Finding{
		ID: "module-held", Severity: finding.Info,
		Summary:  fmt.Sprintf("a restart of %s leaves nf_conntrack loaded, because %s holds it; a neighbour without that resets to the kernel's values", s.Tool, holds[0].Module),
		Evidence: []finding.Evidence{picture.SwitchEvidence(s)},
	}
	for _, hold := range holds {
		f.Evidence = append(f.Evidence, finding.Seen("/proc/modules", 0, hold.String()))
	}
	return f
}

// decidingSwitch is the switch that decides where one is not known to the tool:
// firewalld unloads by default only in versions before 1.0, which go by CleanupOnExit.
func decidingSwitch(h *picture.Host, s inventory.ToolOption) inventory.ToolOption {
	if onExit, there := h.Inventory.ToolOption("firewalld", "CleanupOnExit"); there && s.Tool == "firewalld" && s.Default {
		return onExit
	}
	return s
}

// keepModules gives the command that has a firewall leave the modules alone.
func keepModules(s inventory.ToolOption) []string {
	value := `"no"`
	if s.Tool == "firewalld" {
		value = "no"
	}
	if s.Default {
		return []string{fmt.Sprintf(`printf '\n%s=%s\n' >> %s`, s.Name, value, shell.Quote(s.File))}
	}
	return []string{fmt.Sprintf(`sed -i 's/^[[:blank:]]*%s[[:blank:]]*=.*/%s=%s/' %s`, s.Name, s.Name, value, shell.Quote(s.File))}
}

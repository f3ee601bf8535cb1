package doctor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/firewall"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/kmod"
)

const maxRules = 8 << 20

// holderChecks ask what holds the module, and what falls with it when a firewall
// is started again.
func holderChecks() []check { return []check{firewallRestart} }

// firewallRestart works out, for each firewall that unloads modules when it stops,
// whether nf_conntrack goes and comes back with the kernel's values: why this host
// resets and its neighbour does not.
func firewallRestart(h *Host) []Finding {
	absent := !h.Offline && h.Module.State == kmod.Absent
	if h.Module.State == kmod.BuiltIn || absent && len(h.asks()) == 0 { // nothing to reset
		return nil
	}
	var found []Finding
	for _, s := range h.Inventory.ToolOptions {
		how, unloads := unloader(s)
		if !unloads || !h.serviceThere(s.Tool) {
			continue
		}
		if len(h.Modules) == 0 || absent {
			f := h.resets(s, nil)
			hint := "What else would hold the module cannot be seen here."
			if absent {
				hint = "What else would hold the module shows only while it is loaded."
			}
			f.Note = joinNotes(f.Note, hint)
			found = append(found, f)
			continue
		}
		// Without its tables in the kernel the script stops nothing, and unloads nothing.
		if s.Tool == "iptables" && !h.loaded("ip_tables") || s.Tool == "ip6tables" && !h.loaded("ip6_tables") {
			continue
		}
		falls, holds := unloading(h.Modules, kmod.Conntrack, how, func(module string) bool { return h.otherFamilyUses(how, module) })
		if len(holds) > 0 {
			found = append(found, h.held(s, holds))
		} else {
			found = append(found, h.resets(s, falls))
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

// serviceThere reports whether the tool's service can be on this host: Red Hat's
// package iptables brings its configuration also where firewalld is the firewall
// and the script is not there.
func (h *Host) serviceThere(tool string) bool {
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
func (h *Host) otherFamilyUses(s stop, module string) bool {
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
func (h *Host) resets(s inventory.ToolOption, falls []string) Finding {
	f := Finding{
		ID: "firewall-restart-resets", Severity: Warning,
		Summary:  fmt.Sprintf("a restart of %s unloads nf_conntrack and loads it again: its values fall back to the kernel's", s.Tool),
		Evidence: []Evidence{ofSwitch(s)},
		Fix:      keepModules(h.unloadSwitch(s)),
		Note:     "Another host keeps its values only where something else holds the module, such as rules of the other IP version.",
	}
	if s.Tool == "firewalld" {
		f.Note = joinNotes(f.Note, "firewalld reads this when it starts.")
	}
	if decides := h.unloadSwitch(s); decides != s {
		f.Evidence = []Evidence{ofSwitch(decides)}
		f.Note = joinNotes(f.Note, "This version, before 1.0, unloads the modules with its rules: with CleanupOnExit=no both stay when it stops.")
	}
	if len(falls) > 0 {
		f.Evidence = append(f.Evidence, seen("/proc/modules", 0, "would be unloaded: "+strings.Join(falls, ", ")))
	}
	f.Note = joinNotes(f.Note, h.setAgain(s, &f))
	if h.repairs() {
		f.Severity = Info
		f.Summary += "; ctkeeper puts them back at once"
		f.Fix = nil
	}
	return f
}

// setAgain says what sets values again after such a restart, with the lines as
// evidence: the firewall itself, and what is done whenever the module is loaded.
func (h *Host) setAgain(s inventory.ToolOption, f *Finding) string {
	var by, back []string
	for _, a := range h.Inventory.Assignments {
		if a.Phase != inventory.AfterModuleLoad && (a.Phase != inventory.AtFirewallStart || a.Tool != s.Tool) || !h.acts(a) {
			continue
		}
		by, back = append(by, a.Tool), append(back, kernelName(a))
		f.Evidence = append(f.Evidence, h.line(a))
	}
	switch {
	case len(back) == 1 || len(unique(by)) == 1 && len(by) > 0:
		return fmt.Sprintf("%s then sets %s again, and nothing else.", by[0], strings.Join(unique(back), ", "))
	case len(back) > 0:
		return fmt.Sprintf("%s then set %s again, and nothing else.", strings.Join(unique(by), " and "), strings.Join(unique(back), ", "))
	case s.Tool == "iptables" || s.Tool == "ip6tables":
		return fmt.Sprintf("Nothing sets them again. Where the modules have to be unloaded, %s_SYSCTL_LOAD_LIST=\".nf_conntrack\" in the same file has the script apply those lines of the sysctl files.", strings.ToUpper(s.Tool))
	}
	return "Nothing sets them again."
}

// held is the finding of a host where something keeps the module.
func (h *Host) held(s inventory.ToolOption, holds []hold) Finding {
	f := Finding{
		ID: "module-held", Severity: Info,
		Summary:  fmt.Sprintf("a restart of %s leaves nf_conntrack loaded, because %s holds it; a neighbour without that resets to the kernel's values", s.Tool, holds[0].Module),
		Evidence: []Evidence{ofSwitch(s)},
	}
	for _, hold := range holds {
		f.Evidence = append(f.Evidence, seen("/proc/modules", 0, hold.String()))
	}
	return f
}

// unloadSwitch is the switch that decides where one is not known to the tool:
// firewalld unloads by default only in versions before 1.0, which go by CleanupOnExit.
func (h *Host) unloadSwitch(s inventory.ToolOption) inventory.ToolOption {
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
		return []string{fmt.Sprintf(`printf '\n%s=%s\n' >> %s`, s.Name, value, quote(s.File))}
	}
	return []string{fmt.Sprintf(`sed -i 's/^[[:blank:]]*%s[[:blank:]]*=.*/%s=%s/' %s`, s.Name, s.Name, value, quote(s.File))}
}

func joinNotes(notes ...string) string {
	return strings.Join(slices.DeleteFunc(notes, func(note string) bool { return note == "" }), " ")
}

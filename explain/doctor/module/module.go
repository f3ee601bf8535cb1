package module

import (
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/fixes"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/kmod"
)

// Check returns the findings of this topic.
func Check(h *picture.Host) []finding.Finding {
	if h.IsContainer() {
		return h.Run(checkContainer)
	}
	blockers := h.Run(
		checkModulesDisabled, checkBlacklisted, checkDependencyBlacklisted, checkKernelInstalled,
		checkFile, checkDependencies,
		checkIndex, checkVermagic, checkSignature, checkParameters, checkMemory,
	)
	found := append(notLoaded(h, blockers), blockers...)
	return append(found, h.Run(
		checkModulesDisabledNext, checkUnknownParameters, checkSoftDependencies, checkBuiltIn, checkRuleModules,
	)...)
}

// notLoaded reports an absent module. The blockers are the findings that can be the reason.
func notLoaded(h *picture.Host, blockers []finding.Finding) []finding.Finding {
	if h.Module.State != kmod.Absent || h.Module.InTransition || h.IsBuiltIn() {
		return nil
	}
	f := finding.Finding{
		ID: "module-not-loaded", Severity: finding.Info,
		Summary:  "nf_conntrack is not loaded: nothing needs it yet, and the first rule that does will load it",
		Evidence: []finding.Evidence{finding.Seen("/sys/module/nf_conntrack", 0, "does not exist")},
	}
	needed := h.NeededBy()
	var ids []string
	for _, blocker := range blockers {
		if blocker.Severity != finding.Info {
			ids = append(ids, blocker.ID)
		}
	}
	if len(needed) == 0 && len(ids) == 0 {
		return []finding.Finding{f}
	}
	f.Evidence = append(f.Evidence, needed...)
	switch {
	case len(needed) > 0:
		f.Severity = finding.Error
	case len(ids) > 0 && len(h.Inventory.Assignments) > 0: // somebody wants it, and cannot have it
		f.Severity = finding.Warning
	}
	if len(ids) > 0 {
		f.Summary = "nf_conntrack is not loaded and cannot be loaded: see " + strings.Join(finding.Unique(ids), ", ")
	} else {
		f.Summary = "nf_conntrack is not loaded, although something needs it and nothing blocks it"
		f.Fix = []finding.Step{fixes.LoadModule()}
	}
	if restart := restartFirewalls(h); len(restart) > 0 {
		f.Note = "A firewall that failed without the module stays down until it is restarted: " +
			strings.Join(restart, " && ") + "."
	}
	return []finding.Finding{f}
}

// checkContainer reports that the module is not loaded in a container. Only its host can change that, and
// nothing on the container's disk says why.
func checkContainer(h *picture.Host) []finding.Finding {
	if h.Module.State != kmod.Absent || h.Module.InTransition {
		return nil
	}
	f := finding.Finding{
		ID: "module-not-loaded", Severity: finding.Info,
		Summary: "nf_conntrack is not loaded, and this is a container (" + h.Distro.Platform.Container +
			"): only its host can load the module",
		Evidence: append(h.ContainerEvidence(), finding.Seen("/sys/module/nf_conntrack", 0, "does not exist")),
		Note:     "Ask the administrator or provider of the host to load nf_conntrack there.",
	}
	if needed := h.NeededBy(); len(needed) > 0 {
		f.Severity, f.Evidence = finding.Warning, append(f.Evidence, needed...)
	}
	return []finding.Finding{f}
}

// severity returns the severity of what blocks the module: an error where something needs it and it is seen to
// be absent.
func severity(h *picture.Host) finding.Severity {
	if h.Module.State == kmod.Absent && len(h.NeededBy()) > 0 {
		return finding.Error
	}
	return finding.Warning
}

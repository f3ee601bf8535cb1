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
	return h.Run(append(append([]picture.Check{notLoaded}, barrierChecks()...),
		checkModulesDisabledNext, checkUnknownParameters, checkSoftDependencies, checkBuiltIn, checkRuleModules)...)
}

// barrierChecks are the checks for what keeps the module out.
func barrierChecks() []picture.Check {
	return []picture.Check{
		checkModulesDisabled, checkBlacklisted, checkKernelInstalled, checkFile, checkDependencies, checkDependencyBlacklisted,
		checkIndex, checkVermagic, checkSignature, checkParameters, checkMemory,
	}
}

// notLoaded says that the module is absent, and whether that is right.
func notLoaded(h *picture.Host) []finding.Finding {
	if h.Module.State != kmod.Absent || h.Module.Settling || h.IsBuiltIn() {
		return nil
	}
	f := finding.Finding{
		ID: "module-not-loaded", Severity: finding.Info,
		Summary:  "nf_conntrack is not loaded: nothing has asked for it yet, and it is loaded with the first rule that needs it",
		Evidence: []finding.Evidence{finding.Seen("/sys/module/nf_conntrack", 0, "not there")},
	}
	asks := h.NeededBy()
	var barred []string
	for _, barrier := range barrierChecks() {
		for _, other := range barrier(h) {
			if other.Severity != finding.Info {
				barred = append(barred, other.ID)
			}
		}
	}
	if len(asks) == 0 && len(barred) == 0 {
		return []finding.Finding{f}
	}
	f.Evidence = append(f.Evidence, asks...)
	if len(asks) > 0 {
		f.Severity = finding.Error
	}
	switch {
	case len(barred) > 0:
		f.Summary = "nf_conntrack is not loaded, and cannot be: see " + strings.Join(finding.Unique(barred), ", ")
	default:
		f.Summary = "nf_conntrack is not loaded, although it is asked for and nothing keeps it out"
		f.Fix = []string{fixes.LoadModule}
	}
	if again := restartFirewalls(h); len(again) > 0 {
		f.Note = "a firewall that failed without the module stays down until it is started again: " + strings.Join(again, " && ")
	}
	return []finding.Finding{f}
}

// severity is that of something which keeps the module out: an error where
// something wants the module or has it, because then the next boot goes wrong.
func severity(h *picture.Host) finding.Severity {
	if h.IsLoaded(kmod.Conntrack) || len(h.NeededBy()) > 0 {
		return finding.Error
	}
	return finding.Warning
}

package doctor

import (
	"strings"

	"github.com/ctkeeper/ctkeeper/kmod"
)

// load is the last step of most fixes.
const load = "modprobe " + kmod.Conntrack

func moduleChecks() []check {
	return append(append([]check{notLoaded}, barriers()...), modulesDisabledNext, unknownParameter, softDependencies, builtIn, ruleModules)
}

// barriers are the checks for what keeps the module out.
func barriers() []check {
	return []check{
		modulesDisabled, blacklisted, kernelNotInstalled, fileMissing, dependencyMissing, dependencyBlacklisted,
		staleIndex, wrongKernel, refusedSignature, badParameter, noMemory,
	}
}

// notLoaded says that the module is absent, and whether that is right.
func notLoaded(h *Host) []Finding {
	if h.Module.State != kmod.Absent || h.Module.Settling || h.inImage() {
		return nil
	}
	f := Finding{
		ID: "module-not-loaded", Severity: Info,
		Summary:  "nf_conntrack is not loaded: nothing has asked for it yet, and it is loaded with the first rule that needs it",
		Evidence: []Evidence{seen("/sys/module/nf_conntrack", 0, "not there")},
	}
	asks := h.asks()
	var barred []string
	for _, barrier := range barriers() {
		for _, other := range barrier(h) {
			if other.Severity != Info {
				barred = append(barred, other.ID)
			}
		}
	}
	if len(asks) == 0 && len(barred) == 0 {
		return []Finding{f}
	}
	f.Evidence = append(f.Evidence, asks...)
	if len(asks) > 0 {
		f.Severity = Error
	}
	switch {
	case len(barred) > 0:
		f.Summary = "nf_conntrack is not loaded, and cannot be: see " + strings.Join(unique(barred), ", ")
	default:
		f.Summary = "nf_conntrack is not loaded, although it is asked for and nothing keeps it out"
		f.Fix = []string{load}
	}
	if again := h.startAgain(); len(again) > 0 {
		f.Note = "a firewall that failed without the module stays down until it is started again: " + strings.Join(again, " && ")
	}
	return []Finding{f}
}

// asks tells who wants the module to be there.
func (h *Host) asks() []Evidence {
	var all []Evidence
	if h.Config != nil && h.Config.Module.Load {
		all = append(all, Evidence{placeOf(h.Config.Origins["module.load"]), "module.load: true"})
	}
	for _, line := range h.Inventory.EarlyLoads {
		all = append(all, Evidence{line, "loads it at boot"})
	}
	for _, name := range sorted(h.Rules.Modules) {
		all = append(all, Evidence{h.Rules.Modules[name], "a rule that needs " + name})
	}
	for _, a := range h.Inventory.Assignments {
		if (a.Tool == "systemd-sysctl" || a.Tool == "sysctl") && a.NoEffect == "" && !a.FromPersist {
			all = append(all, Evidence{a.Place, a.Key + " = " + a.Value})
		}
	}
	return all
}

// severity is that of something which keeps the module out: an error where
// something wants the module or has it, because then the next boot goes wrong.
func (h *Host) severity() Severity {
	if h.loaded(kmod.Conntrack) || len(h.asks()) > 0 {
		return Error
	}
	return Warning
}

// inImage reports whether the module is part of the kernel: nothing keeps that out.
func (h *Host) inImage() bool {
	return h.Module.State == kmod.BuiltIn || h.Index.BuiltIn[kmod.Conntrack]
}

// reboot is the command of this host's init.
func (h *Host) reboot() string {
	if h.Place.Systemd {
		return "systemctl reboot"
	}
	return "reboot"
}

func unique(names []string) []string {
	var all []string
	told := map[string]bool{}
	for _, name := range names {
		if !told[name] {
			all = append(all, name)
		}
		told[name] = true
	}
	return all
}

package boot

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/fixes"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// checkConfigured reports live values that are not as the configuration wants them and that no daemon
// repairs.
func checkConfigured(h *picture.Host) []finding.Finding {
	runs := h.Env.Running != nil && *h.Env.Running // by a unit or by hand
	if !h.IsConfigured() || runs && h.Config.Mode == reconcile.Enforce {
		return nil
	}
	f := finding.Finding{ID: "settings-differ", Severity: finding.Error, Fix: []finding.Step{fixes.Enforce(h)}}
	var differences []string
	for _, w := range h.Config.Wants {
		s := w.Setting
		live, has := h.Settings[s.Name]
		if !has || w.Satisfied(s.Parse(live)) || h.Env.ChildNetns && s.Global {
			continue
		}
		differences = append(differences, fmt.Sprintf("%s is %s, wanted %s", s.Name, live, w))
		f.Evidence = append(f.Evidence, liveEvidence(h, s), finding.At(w.Origin, s.Name+": "+w.String()))
	}
	if len(differences) == 0 {
		return nil
	}
	f.Summary = "the live values are not as configured, and no daemon repairs them: " + strings.Join(differences, "; ")
	if len(h.Env.ReadOnly) > 0 { // which has its own finding
		f.Fix, f.Note = nil, "They cannot be written here."
	}
	return []finding.Finding{f}
}

// checkKept reports wanted settings that cannot be read, or that a daemon cannot keep. The daemon's are those of the
// configuration in effect, also while a newer one is refused.
func checkKept(h *picture.Host) []finding.Finding {
	f := finding.Finding{
		ID: "settings-not-kept", Severity: finding.Error,
		Note: "ctkeeper status has since when, and what to do about each.",
	}
	var reasons []string
	for _, s := range h.NotKept {
		if setting := sysfs.Lookup(s.Name); h.Env.ChildNetns && setting != nil && setting.Global {
			continue
		}
		reason := s.Error
		if s.State == reconcile.Contested {
			reason = "another writer keeps changing it"
			if s.LastDrift != nil && s.LastDrift.By != nil {
				reason = s.LastDrift.By.String() + " keeps changing it"
			}
		}
		reasons = append(reasons, s.Name+" is not kept: "+reason)
		f.Evidence = append(f.Evidence, finding.At(s.Origin, s.Name+": "+s.Policy.Of(s.Want)))
	}
	if len(reasons) == 0 {
		return nil
	}
	f.Summary = "not every setting is as configured: " + strings.Join(reasons, "; ")
	return []finding.Finding{f}
}

// checkFiles reports live values that are not those of the host's files. What the configuration has is
// checkConfigured's.
func checkFiles(h *picture.Host) []finding.Finding {
	if h.Env.ChildNetns {
		return nil
	}
	var found []finding.Finding
	for _, s := range sysfs.Catalogue() {
		live, has := h.Settings[s.Name]
		_, wanted := h.Want(s.Name)
		if !has || sysfs.ReadOnly(s.Name) || wanted && h.IsConfigured() {
			continue
		}
		if f, differs := checkFile(h, s, live); differs {
			found = append(found, f)
		}
	}
	return finding.Merge(found)
}

// checkFile compares one live value with what the host's files make of it.
func checkFile(h *picture.Host, s *sysfs.Setting, live string) (f finding.Finding, differs bool) {
	o := h.Inventory.Outcome(s.Name, live)
	if !o.Found && len(o.Doubts) == 0 {
		o = derived(h, s.Name)
	}
	if certain, found := h.Inventory.Effective(s.Name); o.Seen && found && !isSatisfied(s, certain, live) {
		return takenOver(h, s, o.Assignment, certain), true
	}
	switch {
	case !o.Found, o.Seen, o.TooEarly, o.FromPersist, isSatisfied(s, o.Assignment, live):
		return f, false
	}
	name := picture.KernelName(inventory.Assignment{Name: s.Name})
	writes := h.WriteEvidence(s.Name, live)
	f = finding.Finding{
		ID: "not-applied", Severity: finding.Info, Note: "guard: watch shows who writes.",
		Evidence: append([]finding.Evidence{liveEvidence(h, s), h.AssignmentEvidence(o.Assignment)}, writes...),
	}
	again, isLoadedAgain := h.LoadedAgain()
	switch {
	case len(o.Doubts) > 0:
		f.Summary = fmt.Sprintf("%s is %s, and %s sets %s %s; what else sets it is not known",
			name, live, o.Place, o.Value, o.Phase)
		f.Severity = finding.Warning // unless one of the others can be what is live
		for _, d := range o.Doubts {
			f.Evidence = append(f.Evidence, finding.At(d.Place, d.Why))
			if _, isNumber := sysfs.ParseLong(d.Value); !isNumber {
				f.Severity = finding.Info
			}
		}
		return f, true
	case isContainerised(o.Assignment): // a node that is not in service has its configuration all the same
		f.Summary = fmt.Sprintf("%s is %s, and %s would set %s", name, live, o.Tool, o.Value)
		f.Note = o.Tool + " sets it when it starts."
		return f, true
	case isLoadedAgain && o.Phase <= inventory.AtFirewallStart:
		f.ID, f.Severity = "reset-since-boot", finding.Error
		f.Summary = fmt.Sprintf("%s is %s, and not %s of %s: the module was loaded again after the boot",
			name, live, o.Value, o.Place)
		f.Evidence = append(f.Evidence, again)
		f.Note = "The next load of the module resets it again. ctkeeper import --write" +
			" adopts the value, and the daemon keeps it through every load."
	case len(writes) > 0:
		f.Severity = finding.Warning
		f.Summary = fmt.Sprintf("%s was changed to %s, and %s sets %s %s", name, live, o.Place, o.Value, o.Phase)
		f.Note = "If the live value is the right one, write it into the file."
	default:
		f.Severity = finding.Warning
		f.Summary = fmt.Sprintf("%s is %s, and %s sets %s %s: it was changed since then, or this was never applied",
			name, live, o.Place, o.Value, o.Phase)
		f.Note = "If the live value is the right one, write it into the file. " + f.Note
	}
	if !h.IsContainer() {
		f.Fix = fixes.Set(s.Name, o.Value)
	}
	return f, true
}

// takenOver is the finding about a live value that an uncertain assignment explains, and not the certain one.
func takenOver(h *picture.Host, s *sysfs.Setting, by, certain inventory.Assignment) finding.Finding {
	return finding.Finding{
		ID: "not-applied", Severity: finding.Info,
		Summary: fmt.Sprintf("%s is %s, which %s can set %s; %s sets %s", picture.KernelName(by), h.Settings[s.Name],
			by.Place, by.Phase, certain.Place, certain.Value),
		Evidence: []finding.Evidence{liveEvidence(h, s), h.AssignmentEvidence(by), h.AssignmentEvidence(certain)},
		Note:     "It is not certain: " + by.Uncertain + ". guard: watch shows who writes.",
	}
}

// isContainerised reports whether a tool runs in a pod: its files are on the node also while it does
// not run.
func isContainerised(a inventory.Assignment) bool {
	return a.Tool == picture.KubeProxy || a.Tool == "k3s" || a.Tool == "rke2"
}

// liveEvidence returns the live value of a setting as evidence.
func liveEvidence(h *picture.Host, s *sysfs.Setting) finding.Evidence {
	return finding.Seen("/"+s.File(), 0, h.Settings[s.Name])
}

// isSatisfied reports whether a live value is what an assignment makes of it. The assignment can be one of a
// parameter from which the kernel derives the setting.
func isSatisfied(s *sysfs.Setting, a inventory.Assignment, live string) bool {
	a.Name = s.Name
	return a.Want().Satisfied(s.Parse(live))
}

// derived returns what the kernel makes of a load-time parameter for a setting that nothing sets.
func derived(h *picture.Host, name string) inventory.Outcome {
	for _, parameter := range []string{sysfs.Hashsize, sysfs.ExpectHashsize} {
		o := h.Inventory.Outcome(parameter, "")
		if value, made := valueAtLoad(name, o.Assignment); made && o.IsDecided() && parameter != name {
			o.Value = value
			return o
		}
	}
	return inventory.Outcome{}
}

// valueAtLoad returns the value that a load-time parameter causes for a setting.
func valueAtLoad(name string, a inventory.Assignment) (string, bool) {
	n, err := strconv.ParseInt(a.Value, 0, 64)
	if !a.Parameter || err != nil || n <= 0 {
		return "", false
	}
	switch {
	case name == "max" && a.Name == sysfs.Hashsize:
		n = sysfs.RoundHashsize(n) * sysfs.LoadMaxFactor
	case name == "expect_max" && a.Name == sysfs.ExpectHashsize:
		n *= sysfs.ExpectMaxFactor
	default:
		return "", false
	}
	return strconv.FormatInt(n, 10), true
}

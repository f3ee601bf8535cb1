package owners

import (
	"fmt"
	"slices"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// checkPods reports, file by file, the sysctls of pods' network namespaces that cannot be written there, and those with
// other values than the host's.
func checkPods(h *picture.Host) []finding.Finding {
	var found []finding.Finding
	for _, p := range h.Inventory.PodSysctls {
		f, isFinding := podFinding(h, p)
		if !isFinding {
			continue
		}
		i := slices.IndexFunc(found, func(g finding.Finding) bool {
			return g.ID == f.ID && g.Evidence[0].File == p.File
		})
		if i < 0 {
			found = append(found, f)
			continue
		}
		found[i].Summary += "; " + f.Summary
		found[i].Evidence = append(found[i].Evidence, f.Evidence...)
	}
	return found
}

// podFinding returns the finding about one sysctl.
func podFinding(h *picture.Host, p inventory.PodSysctl) (finding.Finding, bool) {
	s := sysfs.Lookup(p.Name)
	target := "cri-o"
	if p.Tool == inventory.TuningPlugin {
		target = "cni-tuning"
	}
	line := h.Quote(p.Place)
	if line == "" {
		line = p.Key + " = " + p.Value
	}
	f := finding.Finding{Severity: finding.Info, Evidence: []finding.Evidence{finding.At(p.Place, line)}}
	want, wanted := h.Want(p.Name)
	switch {
	case s.Global: // mode 0444 outside of the initial network namespace
		f.ID = "pod-sysctl-refused"
		f.Summary = fmt.Sprintf("%s sets %s for pods, which their network namespaces cannot write: "+
			"such a pod does not start", p.Tool, p.Key)
		f.Note = "Remove it: it is one value for the whole host."
		if p.Running {
			f.Severity = finding.Warning
		}
	case wanted && h.IsConfigured() && !want.Satisfied(s.Parse(p.Value)):
		f.ID = "pod-sysctls-differ"
		f.Summary = fmt.Sprintf("%s sets %s to %s in the network namespaces of pods; ctkeeper keeps %s on the host",
			p.Tool, s.Name, p.Value, want)
		f.Note = "ctkeeper does not keep the settings of pods. ctkeeper render " + target +
			" prints the host's values for them."
	default:
		return finding.Finding{}, false
	}
	return f, true
}

package owners

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/fixes"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/shell"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

const kubeProxyUnit = picture.KubeProxy + ".service"

// isLocked reports whether the guard is asked to refuse an assignment that the configuration is
// not content with.
func isLocked(h *picture.Host, a inventory.Assignment) bool {
	s := sysfs.Lookup(a.Name)
	return h.Config != nil && h.Config.Guard.Mode == config.GuardLock && h.Config.Mode == reconcile.Enforce &&
		s != nil && s.Global && !a.Parameter && (a.Name != picture.Hashsize || strings.HasSuffix(a.Key, "nf_conntrack_buckets")) // else it is sysfs
}

// checkLock finds programs that end when they are refused what they set: kube-proxy does
// (setupConntrack takes a read-only /sys alone in its stride). The others say so and go on.
func checkLock(h *picture.Host) []finding.Finding {
	var found []finding.Finding
	for _, a := range h.Inventory.Assignments {
		asked, s := stanceOf(h, a)
		if a.Tool != picture.KubeProxy || s != opposed || !isLocked(h, a) || !h.HasEffect(a) || allowsKubeProxy(h) {
			continue
		}
		f := finding.Finding{
			ID: "guard-lock-owner", Severity: finding.Warning,
			Summary: fmt.Sprintf("with guard: lock kube-proxy does not start: it sets %s to %s, ctkeeper wants %s, and it ends when it may not",
				picture.KernelName(a), a.Value, asked),
			Evidence: append([]finding.Evidence{h.GuardLine(), h.AssignmentEvidence(a)}, askedBy(h, a)...),
		}
		const leave = "Have it leave the limit alone: conntrack.maxPerCore: 0 in its configuration, or --conntrack-max-per-core=0"
		if isUnit(h, kubeProxyUnit) {
			f.Fix = []string{allowUnit(h, kubeProxyUnit), fixes.Enforce(h)}
			f.Note = "Then it writes its value when it starts, and ctkeeper writes it back. Or better: " + strings.ToLower(leave[:1]) + leave[1:] + "."
		} else {
			f.Note = leave + "; of a pod in the ConfigMap kube-proxy of kube-system, then restart its pods. Or let all pods write: guard.allow: [kubepods.slice]."
		}
		found = append(found, f)
	}
	return found
}

// isUnit reports whether the host has a unit.
func isUnit(h *picture.Host, name string) bool {
	return slices.ContainsFunc(picture.UnitDirs(), func(dir string) bool { return h.Tree.Exists(path.Join(dir, name)) })
}

// allowsKubeProxy reports whether guard.allow names where kube-proxy runs.
func allowsKubeProxy(h *picture.Host) bool {
	unit := isUnit(h, kubeProxyUnit)
	return slices.ContainsFunc(h.Config.Guard.Allow, func(name string) bool {
		if unit {
			return name == kubeProxyUnit || name == "system.slice"
		}
		return strings.HasPrefix(name, "kubepods") && strings.HasSuffix(name, ".slice")
	})
}

// allowUnit is the command that lets a unit write, beside those that may already.
func allowUnit(h *picture.Host, unit string) string {
	units := append(slices.Clone(h.Config.Guard.Allow), unit)
	name := fixes.DropInAfter("guard", h.Config.Origins["guard.allow"])
	return "mkdir -p " + picture.ConfigDropIns + ` && printf '%s\n' 'guard:' '  allow: [` + strings.Join(units, ", ") + `]' > ` + shell.Quote(path.Join(picture.ConfigDropIns, name))
}

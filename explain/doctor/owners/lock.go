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
	"github.com/ctkeeper/ctkeeper/host/change"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// isLocked reports whether the guard is configured to refuse an assignment that conflicts with the
// configuration. It does not see writes to hashsize through sysfs.
func isLocked(h *picture.Host, a inventory.Assignment) bool {
	if h.Config == nil || h.Config.Guard.Mode != config.GuardLock || h.Config.Mode != reconcile.Enforce || a.Parameter {
		return false
	}
	s := sysfs.Lookup(a.Name)
	isSysfs := a.Name == sysfs.Hashsize && !strings.HasSuffix(a.Key, "nf_conntrack_buckets")
	return s != nil && s.Global && !isSysfs
}

// checkLock reports programs that exit when their write is refused. kube-proxy does (its setupConntrack
// tolerates only a read-only /sys); other programs log the error and continue.
func checkLock(h *picture.Host) []finding.Finding {
	var found []finding.Finding
	for _, a := range h.Inventory.Assignments {
		want, s := stanceOf(h, a)
		if a.Tool != picture.KubeProxy || s != conflicts || !isLocked(h, a) || !h.HasEffect(a) || allowsKubeProxy(h) {
			continue
		}
		f := finding.Finding{
			ID: "guard-lock-owner", Severity: finding.Warning,
			Summary: fmt.Sprintf("with guard: lock kube-proxy does not start: "+
				"it sets %s to %s, ctkeeper wants %s, and kube-proxy exits when the write is refused",
				picture.KernelName(a), a.Value, want),
			Evidence: append([]finding.Evidence{h.GuardLine(), h.AssignmentEvidence(a)}, wantEvidence(h, a)...),
		}
		const disable = "onfigure kube-proxy not to set the limit: conntrack.maxPerCore: 0, or " +
			"--conntrack-max-per-core=0"
		if h.Env.KubeProxyUnit {
			f.Fix = []finding.Step{allowUnit(h, picture.KubeProxyUnit), fixes.Enforce(h)}
			f.Note = "Then kube-proxy writes its value when it starts, and ctkeeper writes its own back. Better: " +
				"c" + disable + "."
		} else {
			f.Note = "C" + disable + "; for a pod in the ConfigMap kube-proxy of kube-system, then restart its pods. " +
				"Or allow all pods to write: guard.allow: [kubepods.slice]."
		}
		found = append(found, f)
	}
	return found
}

// allowsKubeProxy reports whether guard.allow names the unit or the slice in which kube-proxy runs.
func allowsKubeProxy(h *picture.Host) bool {
	return slices.ContainsFunc(h.Config.Guard.Allow, func(name string) bool {
		if h.Env.KubeProxyUnit {
			return name == picture.KubeProxyUnit || name == "system.slice"
		}
		return strings.HasPrefix(name, "kubepods") && strings.HasSuffix(name, ".slice")
	})
}

// allowUnit returns the step that adds a unit to those that are allowed to write.
func allowUnit(h *picture.Host, unit string) finding.Step {
	units := append(slices.Clone(h.Config.Guard.Allow), unit)
	file := path.Join(picture.ConfigDropIns, fixes.DropInAfter("guard", h.Config.Origins["guard.allow"]))
	return change.WriteFile(file, "guard:", "  allow: ["+strings.Join(units, ", ")+"]")
}

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

// blockingMode returns the mode in which the guard blocks an assignment that conflicts with the configuration;
// GuardWatch where it does not. It does not see writes to hashsize through sysfs. What each network namespace has
// for itself it blocks only with CAP_PERFMON, and if its programs may read the kernel's memory.
func blockingMode(h *picture.Host, a inventory.Assignment) config.GuardMode {
	s := sysfs.Lookup(a.Name)
	isSysfs := a.Name == sysfs.Hashsize && !strings.HasSuffix(a.Key, "nf_conntrack_buckets")
	if h.Config == nil || h.Config.Mode != reconcile.Enforce || a.Parameter || s == nil || isSysfs || isAllowed(h, a) {
		return config.GuardWatch
	}
	unit := h.UnitCapabilities()
	if !s.Global && (!unit.Has("CAP_PERFMON") || h.BPF.Confidential.Text != "") {
		return config.GuardWatch
	}
	mode := h.Config.Guard.Mode
	if mode == config.GuardLock || mode == config.GuardHold && h.BPF.WritesStrict == "1" {
		return mode
	}
	return config.GuardWatch
}

// checkLock reports programs that exit when their write is refused. kube-proxy does (its setupConntrack
// tolerates only a read-only /sys); other programs log the error and continue.
func checkLock(h *picture.Host) []finding.Finding {
	var found []finding.Finding
	for _, a := range h.Inventory.Assignments {
		want, s := stanceOf(h, a)
		if a.Tool != picture.KubeProxy || s != conflicts || blockingMode(h, a) != config.GuardLock || !h.HasEffect(a) {
			continue
		}
		f := finding.Finding{
			ID: "guard-lock-owner", Severity: finding.Warning,
			Summary: fmt.Sprintf("with guard: lock kube-proxy does not start: "+
				"it sets %s to %s, ctkeeper wants %s, and kube-proxy exits when the write is refused",
				picture.KernelName(a), a.Value, want),
			Evidence: append([]finding.Evidence{h.GuardLine(), h.AssignmentEvidence(a)}, wantEvidence(h, a)...),
		}
		f.Fix = []finding.Step{holdInstead(h), fixes.Enforce(h)}
		f.Note = "With guard: hold the write succeeds and changes nothing, also that of other programs. To keep the " +
			"lock, configure kube-proxy not to set it: " + leavesAlone(a.Name)
		if h.Env.KubeProxyUnit {
			f.Note += "; or allow it to write: guard.allow: [" + picture.KubeProxyUnit + "]."
		} else {
			f.Note += "; for a pod in the ConfigMap kube-proxy of kube-system, then restart its pods. " +
				"Or allow all pods to write: guard.allow: [kubepods.slice]."
		}
		found = append(found, f)
	}
	return found
}

// leavesAlone returns the options with which kube-proxy does not set a setting (its setupConntrack).
func leavesAlone(setting string) string {
	switch setting {
	case "tcp_timeout_established":
		return "conntrack.tcpEstablishedTimeout: 0s, or --conntrack-tcp-timeout-established=0s"
	case "tcp_timeout_close_wait":
		return "conntrack.tcpCloseWaitTimeout: 0s, or --conntrack-tcp-timeout-close-wait=0s"
	case "udp_timeout":
		return "conntrack.udpTimeout: 0s, or --conntrack-udp-timeout=0s"
	case "udp_timeout_stream":
		return "conntrack.udpStreamTimeout: 0s, or --conntrack-udp-timeout-stream=0s"
	case "tcp_be_liberal":
		return "conntrack.tcpBeLiberal: false, or --conntrack-tcp-be-liberal=false"
	}
	return "conntrack.maxPerCore: 0, or --conntrack-max-per-core=0"
}

// isAllowed reports whether guard.allow names the unit or the slice in which the tool of an assignment runs.
func isAllowed(h *picture.Host, a inventory.Assignment) bool {
	return slices.ContainsFunc(h.Config.Guard.Allow, func(name string) bool {
		if a.Tool == picture.KubeProxy && !h.Env.KubeProxyUnit {
			return strings.HasPrefix(name, "kubepods") && strings.HasSuffix(name, ".slice")
		}
		return name == a.Tool+".service" || name == "system.slice"
	})
}

// holdInstead returns the step that changes the guard's mode to hold. It repeats the list of allowed units,
// because the drop-in may replace the one that has it.
func holdInstead(h *picture.Host) finding.Step {
	origins := h.Config.Origins
	name := fixes.DropInAfter("guard", origins["guard.mode"], origins["guard.allow"])
	lines := []string{"guard:", "  mode: " + string(config.GuardHold)}
	if allow := h.Config.Guard.Allow; len(allow) > 0 {
		lines = append(lines, "  allow: ["+strings.Join(allow, ", ")+"]")
	}
	return change.WriteFile(path.Join(picture.ConfigDropIns, name), lines...)
}

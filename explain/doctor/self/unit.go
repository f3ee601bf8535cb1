package self

import (
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/fixes"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/host/change"
)

// checkUnit lists the administrator's changes of the unit, and reports those that take from the daemon
// what it needs.
func checkUnit(h *picture.Host) []finding.Finding {
	overrides := h.Env.Overrides
	if len(overrides) == 0 {
		return nil
	}
	f := finding.Finding{
		ID: "unit-overridden", Severity: finding.Info, Summary: "drop-ins change ctkeeper's unit", Evidence: overrides,
	}
	isCopied := picture.HasUnitCopy(overrides)
	if isCopied {
		f.Summary = "a copy replaces ctkeeper's installed unit, and does not get its updates"
	}
	harms := findHarms(overrides)
	if len(harms) == 0 {
		return []finding.Finding{f}
	}
	f.Severity, f.Evidence = finding.Warning, nil
	var reasons []string
	for _, harm := range harms {
		reasons = append(reasons, harm.reason)
		f.Evidence = append(f.Evidence, harm.lines...)
	}
	f.Summary = "ctkeeper's unit is changed so that it cannot work: " + strings.Join(reasons, "; ")
	if isCopied {
		f.Evidence = append(f.Evidence, finding.Seen(overrides[0].File, 0, "hides the installed unit"))
		f.Fix = []finding.Step{change.Run("systemctl", "revert", "ctkeeper")}
		f.Note = "systemctl revert removes the copy and all drop-ins."
	} else {
		f.Fix = fixes.CommentOut(h, finding.Places(f.Evidence)...)
	}
	f.Fix = append(f.Fix, fixes.RestartUnit()...)
	return []finding.Finding{f}
}

// harm is something that the daemon needs and that overrides take from it.
type harm struct {
	reason string
	lines  []finding.Evidence
}

// findHarms applies the overrides in systemd's order to the unit as it is shipped, or to systemd's
// defaults where a copy replaces it.
func findHarms(overrides []finding.Evidence) []harm {
	s := sandbox{capabilities: picture.NewCapabilities(overrides)}
	if !picture.HasUnitCopy(overrides) {
		s.protectTunables, s.isBound = true, true
	}
	for _, line := range overrides {
		s.apply(line)
	}
	var all []harm
	if !s.capabilities.Has("CAP_NET_ADMIN") {
		all = append(all, harm{"the daemon does not get CAP_NET_ADMIN, and cannot write anything", s.capabilityLines})
	}
	if s.protectTunables && !s.isBound {
		all = append(all, harm{"/proc/sys/net is read-only for the daemon", s.mountLines})
	}
	if len(s.namespaceLines) > 0 {
		all = append(all, harm{"the daemon runs in a namespace of its own, and cannot reach the host's settings",
			s.namespaceLines})
	}
	if len(s.procLines) > 0 {
		all = append(all, harm{"the daemon cannot reach files of /proc that it needs", s.procLines})
	}
	return all
}

// sandbox is what the unit's lines leave to the daemon, and the lines that decide about it.
type sandbox struct {
	capabilities picture.Capabilities
	// protectTunables is ProtectKernelTunables=; isBound is true where /proc/sys/net is bound over it.
	protectTunables, isBound                               bool
	capabilityLines, mountLines, namespaceLines, procLines []finding.Evidence
}

// apply applies one line (systemd.exec(5)).
func (s *sandbox) apply(line finding.Evidence) {
	key, value := picture.ParseUnitLine(line)
	s.capabilities.Apply(key, value)
	switch key {
	case "CapabilityBoundingSet", "AmbientCapabilities":
		s.capabilityLines = append(s.capabilityLines, line)
	case "ProtectKernelTunables":
		s.protectTunables = picture.IsOn(value)
		s.mountLines = append(s.mountLines, line)
	case "BindPaths":
		s.isBound = value != "" && s.isBound || strings.Contains(value, "/proc/sys/net") || value == "/proc/sys"
		s.mountLines = append(s.mountLines, line)
	case "PrivateNetwork", "PrivateUsers", "NetworkNamespacePath":
		if picture.IsOn(value) {
			s.namespaceLines = append(s.namespaceLines, line)
		}
	case "ProcSubset":
		if value == "pid" {
			s.procLines = append(s.procLines, line)
		}
	case "ReadOnlyPaths", "InaccessiblePaths":
		if slices.ContainsFunc(strings.Fields(value), isNeededPath) {
			s.procLines = append(s.procLines, line)
		}
	}
}

// isNeededPath reports whether a path of the unit contains the kernel's settings.
func isNeededPath(path string) bool {
	path = strings.TrimRight(strings.TrimLeft(path, "-+"), "/")
	return path == "/proc" || path == "/proc/sys" || strings.HasPrefix(path, "/proc/sys/net")
}

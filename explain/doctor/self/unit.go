package self

import (
	"path"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/fixes"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
)

// checkUnit lists what an administrator changed in the unit, and finds what takes
// away from the daemon what it needs.
func checkUnit(h *picture.Host) []finding.Finding {
	if len(h.Env.Overrides) == 0 {
		return nil
	}
	f := finding.Finding{
		ID: "unit-overridden", Severity: finding.Info, Summary: "ctkeeper's unit is changed by drop-ins",
		Evidence: h.Env.Overrides,
	}
	copied := strings.HasSuffix(h.Env.Overrides[0].File, "/"+picture.UnitName)
	if copied {
		f.Summary = "a copy of ctkeeper's unit takes the place of the installed one, and knows nothing of its updates"
	}
	harmed := findHarms(h.Env.Overrides)
	if len(harmed) == 0 {
		return []finding.Finding{f}
	}
	f.Severity, f.Evidence = finding.Warning, nil
	var why []string
	for _, harm := range harmed {
		why = append(why, harm.why)
		f.Evidence = append(f.Evidence, harm.lines...)
	}
	f.Summary = "ctkeeper's unit is changed so that it cannot work: " + strings.Join(why, "; ")
	if copied {
		f.Evidence = append(f.Evidence, finding.Seen(h.Env.Overrides[0].File, 0, "hides the installed unit"))
		f.Fix = []string{"systemctl revert ctkeeper"}
		f.Note = "systemctl revert takes away the copy and all drop-ins."
	} else {
		f.Fix = fixes.CommentOut(h, f.Evidence)
	}
	f.Fix = append(f.Fix, "systemctl daemon-reload", "systemctl restart ctkeeper")
	return []finding.Finding{f}
}

// sandbox is what the unit leaves the daemon, as far as the daemon needs it.
type sandbox struct {
	bounding, ambient  bool // CAP_NET_ADMIN is in the set
	unbounded          bool // the bounding set is everything: a list takes its place
	tunables, bound    bool // ProtectKernelTunables=, and /proc/sys/net bound over it
	rootless           bool
	namespace, proc    []finding.Evidence
	capabilities, bind []finding.Evidence
}

// harm is what overrides take away from the daemon.
type harm struct {
	why   string
	lines []finding.Evidence
}

// findHarms reads overrides in systemd's order, from the unit as it is shipped, or from
// systemd's own defaults where a copy takes its place.
func findHarms(overrides []finding.Evidence) []harm {
	s := sandbox{bounding: true, ambient: true, tunables: true, bound: true, rootless: true}
	if len(overrides) > 0 && path.Base(overrides[0].File) == picture.UnitName {
		s = sandbox{bounding: true, unbounded: true}
	}
	for _, line := range overrides {
		s.take(line)
	}
	var all []harm
	if !s.bounding || s.rootless && !s.ambient {
		all = append(all, harm{"the daemon does not get CAP_NET_ADMIN, and can write nothing", s.capabilities})
	}
	if s.tunables && !s.bound {
		all = append(all, harm{"/proc/sys/net is read-only for the daemon", s.bind})
	}
	if len(s.namespace) > 0 {
		all = append(all, harm{"the daemon is put into a namespace of its own, where the host's settings are out of reach", s.namespace})
	}
	if len(s.proc) > 0 {
		all = append(all, harm{"files of /proc that the daemon needs are out of its reach", s.proc})
	}
	return all
}

// take reads one assignment (systemd.exec(5)).
func (s *sandbox) take(line finding.Evidence) {
	key, value, _ := strings.Cut(line.Text, "=")
	value = strings.TrimSpace(value)
	on := value != "" && !slices.Contains([]string{"no", "false", "off", "0", "n", "f"}, strings.ToLower(value))
	switch strings.TrimSpace(key) {
	case "CapabilityBoundingSet":
		list := value != "" && value[0] != '~'
		s.bounding = picture.HasCapabilityAfter(s.bounding && !(s.unbounded && list), value, "CAP_NET_ADMIN")
		s.unbounded = false
		s.capabilities = append(s.capabilities, line)
	case "AmbientCapabilities":
		s.ambient = picture.HasCapabilityAfter(s.ambient, value, "CAP_NET_ADMIN")
		s.capabilities = append(s.capabilities, line)
	case "User":
		s.rootless = value != "" && value != "root" && value != "0"
	case "DynamicUser":
		s.rootless = s.rootless || on
	case "ProtectKernelTunables":
		s.tunables = on
		s.bind = append(s.bind, line)
	case "BindPaths":
		s.bound = value != "" && s.bound || strings.Contains(value, "/proc/sys/net") || value == "/proc/sys"
		s.bind = append(s.bind, line)
	case "PrivateNetwork", "PrivateUsers", "NetworkNamespacePath":
		if on {
			s.namespace = append(s.namespace, line)
		}
	case "ProcSubset":
		if value == "pid" {
			s.proc = append(s.proc, line)
		}
	case "ReadOnlyPaths", "InaccessiblePaths":
		if slices.ContainsFunc(strings.Fields(value), func(p string) bool {
			p = strings.TrimRight(strings.TrimLeft(p, "-+"), "/")
			return p == "/proc" || p == "/proc/sys" || strings.HasPrefix(p, "/proc/sys/net")
		}) {
			s.proc = append(s.proc, line)
		}
	}
}

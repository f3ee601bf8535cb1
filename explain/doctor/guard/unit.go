package guard

import (
	"path"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
)

// rights are what the unit leaves the daemon of what the guard takes.
type rights struct {
	// bounding and ambient are the capabilities in these sets, by their names.
	bounding, ambient map[string]bool
	// unbounded: the bounding set is everything, and a list takes its place.
	unbounded bool
	rootless  bool
	// listed is true where an earlier line names system calls; call says that bpf(2) is
	// allowed.
	listed, call bool
	// lines are those that decide about it.
	lines []finding.Evidence
}

// readRights reads overrides as harms does: from the unit as it is shipped, or from systemd's
// defaults where a copy takes its place.
func readRights(overrides []finding.Evidence) rights {
	r := rights{bounding: map[string]bool{}, ambient: map[string]bool{}, rootless: true, listed: true}
	if len(overrides) > 0 && path.Base(overrides[0].File) == picture.UnitName {
		r.bounding = map[string]bool{capBPF: true, capPerfmon: true}
		r.unbounded, r.rootless, r.listed, r.call = true, false, false, true
	}
	for _, line := range overrides {
		r.take(line)
	}
	return r
}

// has reports whether the daemon gets a capability.
func (r rights) has(name string) bool { return r.bounding[name] && (!r.rootless || r.ambient[name]) }

// take reads one assignment (systemd.exec(5)).
func (r *rights) take(line finding.Evidence) {
	key, value, _ := strings.Cut(line.Text, "=")
	value = strings.TrimSpace(value)
	switch strings.TrimSpace(key) {
	case "CapabilityBoundingSet":
		list := value != "" && value[0] != '~'
		for _, name := range []string{capBPF, capPerfmon} {
			r.bounding[name] = picture.HasCapabilityAfter(r.bounding[name] && !(r.unbounded && list), value, name)
		}
		r.unbounded = false
	case "AmbientCapabilities":
		for _, name := range []string{capBPF, capPerfmon} {
			r.ambient[name] = picture.HasCapabilityAfter(r.ambient[name], value, name)
		}
	case "User":
		r.rootless = value != "" && value != "root" && value != "0"
	case "SystemCallFilter":
		r.filter(value)
	default:
		return
	}
	r.lines = append(r.lines, line)
}

// filter reads a list of system calls: the first one decides about all that no list names.
func (r *rights) filter(value string) {
	list, taken := strings.CutPrefix(value, "~")
	named := slices.ContainsFunc(strings.Fields(list), func(word string) bool {
		call, _, _ := strings.Cut(word, ":") // :ERRNO
		return call == "bpf" || call == "@privileged" || call == "@known"
	})
	switch {
	case value == "":
		r.listed, r.call = false, true
		return
	case named:
		r.call = !taken
	case !r.listed:
		r.call = taken
	}
	r.listed = true
}

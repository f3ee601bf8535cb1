package doctor

import (
	"path"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

// unit looks for the unit as systemd does: the first of its directories that has it
// hides the others, and a link to /dev/null masks it. Overrides are, in the order in
// which systemd takes them, the lines of a copy that hides the package's unit, then
// those of drop-ins.
func unit(t tree.Tree) (installed, masked bool, overrides []Evidence) {
	var files []string
	for _, dir := range unitDirs() {
		if file := path.Join(dir, unitName); !t.Gone(file) {
			files = append(files, file)
		}
	}
	if len(files) == 0 {
		return false, false, nil
	}
	if t.IsNull(files[0]) {
		return true, true, nil
	}
	if len(files) > 1 && isCopy(files[0]) && resolved(t, files[0]) != resolved(t, files[len(files)-1]) {
		overrides = unitLines(t, files[0])
	}
	for _, file := range dropIns(t) {
		overrides = append(overrides, unitLines(t, file)...)
	}
	return true, false, overrides
}

// isCopy tells a file that somebody made from a package's.
func isCopy(file string) bool {
	return strings.HasPrefix(file, "/etc/") || strings.HasPrefix(file, "/run/")
}

func resolved(t tree.Tree, file string) string {
	end, _, err := t.Resolve(file)
	if err != nil {
		return file
	}
	return end
}

// dropIns are the unit's, and those of all services, sorted by file name; of one
// name the one in the directory of the highest rank counts.
func dropIns(t tree.Tree) []string {
	byName := map[string]string{}
	for _, kind := range []string{unitName + ".d", "service.d"} { // the unit's own hide those of all
		for _, dir := range unitDirs() {
			names, err := t.List(path.Join(dir, kind))
			if err != nil {
				continue
			}
			for _, name := range names {
				if _, hidden := byName[name]; !hidden && strings.HasSuffix(name, ".conf") {
					byName[name] = path.Join(dir, kind, name)
				}
			}
		}
	}
	var files []string
	for _, name := range sorted(byName) {
		if !t.IsNull(byName[name]) {
			files = append(files, byName[name])
		}
	}
	return files
}

// unitLines are the assignments of a unit file (systemd.syntax(7)), continued lines
// joined.
func unitLines(t tree.Tree, file string) []Evidence {
	text, err := t.Read(file, maxUnit)
	if err != nil {
		return []Evidence{seen(file, 0, "cannot be read: "+within(err))}
	}
	var found []Evidence
	whole, start := "", 0
	for number, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue // within a continued line too
		}
		if whole == "" {
			start = number + 1
		}
		rest, goesOn := strings.CutSuffix(line, `\`)
		whole = strings.TrimSpace(whole + " " + strings.TrimSpace(rest))
		if goesOn {
			continue
		}
		if whole != "" && whole[0] != '[' {
			found = append(found, seen(file, start, whole))
		}
		whole = ""
	}
	return found
}

// enabled reports whether a target wants or requires the unit.
func enabled(t tree.Tree) bool {
	for _, dir := range unitDirs() {
		names, err := t.List(dir)
		if err != nil {
			continue
		}
		if slices.ContainsFunc(names, func(name string) bool {
			wants := strings.HasSuffix(name, ".wants") || strings.HasSuffix(name, ".requires")
			return wants && !t.Gone(path.Join(dir, name, unitName))
		}) {
			return true
		}
	}
	return false
}

// sandbox is what the unit leaves the daemon, as far as the daemon needs it.
type sandbox struct {
	bounding, ambient  bool // CAP_NET_ADMIN is in the set
	unbounded          bool // the bounding set is everything: a list takes its place
	tunables, bound    bool // ProtectKernelTunables=, and /proc/sys/net bound over it
	rootless           bool
	namespace, proc    []Evidence
	capabilities, bind []Evidence
}

// harm is what overrides take away from the daemon.
type harm struct {
	why   string
	lines []Evidence
}

// harms reads overrides in systemd's order, from the unit as it is shipped, or from
// systemd's own defaults where a copy takes its place.
func harms(overrides []Evidence) []harm {
	s := sandbox{bounding: true, ambient: true, tunables: true, bound: true, rootless: true}
	if len(overrides) > 0 && path.Base(overrides[0].File) == unitName {
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
func (s *sandbox) take(line Evidence) {
	key, value, _ := strings.Cut(line.Text, "=")
	value = strings.TrimSpace(value)
	on := value != "" && !slices.Contains([]string{"no", "false", "off", "0", "n", "f"}, strings.ToLower(value))
	switch strings.TrimSpace(key) {
	case "CapabilityBoundingSet":
		list := value != "" && value[0] != '~'
		s.bounding = withCapability(s.bounding && !(s.unbounded && list), value, "CAP_NET_ADMIN")
		s.unbounded = false
		s.capabilities = append(s.capabilities, line)
	case "AmbientCapabilities":
		s.ambient = withCapability(s.ambient, value, "CAP_NET_ADMIN")
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

// withCapability is whether a set has a capability after an assignment: an empty one
// takes all away, a list adds, and one that begins with "~" takes away.
func withCapability(has bool, value, capability string) bool {
	list, inverted := strings.CutPrefix(value, "~")
	named := slices.ContainsFunc(strings.Fields(list), func(name string) bool { return strings.EqualFold(name, capability) })
	switch {
	case inverted && strings.TrimSpace(list) == "":
		return true
	case inverted:
		return has && !named
	case value == "":
		return false
	}
	return has || named
}

package inventory

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/dropin"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

// maxUnits limits the units that are read.
const maxUnits = 3000

// unitSet is the units of a host, and what wants them.
type unitSet struct {
	byName map[string]*unit
	// wantedBy has the units that start a unit together with themselves.
	wantedBy map[string][]string
}

// unitDirs returns the directories of units, by precedence (systemd.unit(5), "Unit File Load Path").
func unitDirs() []string { return dropin.Dirs("systemd/system") }

// loadUnits reads the units with their drop-ins. Instances of templates are units of their own.
func (r *reader) loadUnits() unitSet {
	if r.units.byName != nil {
		return r.units
	}
	units := unitSet{byName: map[string]*unit{}, wantedBy: map[string][]string{}}
	isUnit := func(file string) bool {
		return slices.Contains([]string{".service", ".timer", ".path", ".target"}, path.Ext(file))
	}
	files, _ := dropin.List(r.tree, unitDirs(), isUnit)
	for _, f := range files[:min(len(files), maxUnits)] {
		switch {
		case f.HiddenBy != "": // masked, or replaced by the unit of the same name
			r.markUnderstood(tree.Place{File: f.Path})
		case !f.Masked:
			name := path.Base(f.Path)
			units.byName[name] = &unit{name: name, pairs: r.unitPairs(f.Path)}
		}
	}
	r.readWants(&units)
	dropins := map[string]bool{}
	for _, dir := range unitDirs() {
		for _, name := range r.list(dir) {
			if u := units.byName[strings.TrimSuffix(name, ".d")]; u != nil && strings.HasSuffix(name, ".d") {
				dropins[name] = true
			}
		}
	}
	for name := range dropins {
		var dirs []string
		for _, dir := range unitDirs() {
			dirs = append(dirs, path.Join(dir, name))
		}
		u := units.byName[strings.TrimSuffix(name, ".d")]
		for _, f := range r.dropins(".conf", dirs...) {
			if f.HiddenBy == "" {
				u.pairs = append(u.pairs, r.unitPairs(f.Path)...)
			}
		}
	}
	for name, u := range units.byName {
		for _, key := range []string{"Wants", "Requires", "BindsTo", "Upholds"} {
			for _, list := range u.values("Unit", key) {
				for wanted := range strings.FieldsSeq(list) {
					units.wantedBy[wanted] = append(units.wantedBy[wanted], name)
				}
			}
		}
	}
	r.units = units
	return units
}

// readWants reads the links that enable units.
func (r *reader) readWants(units *unitSet) {
	for _, dir := range append(unitDirs(), "/run/systemd/generator", "/run/systemd/generator.late") {
		for _, name := range r.list(dir) {
			kind := path.Ext(name)
			if kind != ".wants" && kind != ".requires" && kind != ".upholds" {
				continue
			}
			for _, wanted := range r.list(path.Join(dir, name)) {
				units.wantedBy[wanted] = append(units.wantedBy[wanted], strings.TrimSuffix(name, kind))
				prefix, instance, isInstance := strings.Cut(wanted, "@")
				template := units.byName[prefix+"@.service"]
				if isInstance && instance != ".service" && template != nil && units.byName[wanted] == nil {
					units.byName[wanted] = &unit{name: wanted, pairs: slices.Clone(template.pairs)}
				}
			}
		}
	}
}

// bootTargets are reached at every boot, or whenever something there needs them (systemd.special(7)).
var bootTargets = []string{
	"default", "multi-user", "graphical", "basic", "sysinit", "network", "network-online", "network-pre", "local-fs",
	"local-fs-pre", "remote-fs", "remote-fs-pre", "sockets", "timers", "paths", "getty", "swap", "time-sync",
	"nss-lookup", "cloud-init", "cloud-config", "runlevel2", "runlevel3", "runlevel5", "machines",
}

// otherTargets are not reached at a boot.
var otherTargets = []string{
	"rescue", "emergency", "shutdown", "reboot", "poweroff", "halt", "kexec", "final", "umount", "exit", "sleep",
	"suspend", "hibernate", "hybrid-sleep", "suspend-then-hibernate", "initrd", "initrd-fs", "initrd-switch-root",
}

// isStarted decides whether a unit is started at boot.
func (s unitSet) isStarted(name string, depth int) truth {
	target, isTarget := strings.CutSuffix(name, ".target")
	switch {
	case isTarget && slices.Contains(bootTargets, target):
		return yes
	case isTarget && slices.Contains(otherTargets, target):
		return no
	case strings.HasSuffix(name, ".device") || strings.HasSuffix(name, ".mount") || depth > maxCalls:
		return unknown
	}
	result := no
	for _, wanter := range s.wantedBy[name] {
		result = result.or(s.isStarted(wanter, depth+1))
		if result == yes {
			break
		}
	}
	return result
}

// start returns when a service starts, or why it does not, or why that is not known.
func (s unitSet) start(u *unit) (noEffect, uncertain string, phase Phase) {
	started := s.isStarted(u.name, 0)
	if started == yes {
		return "", "", AtServiceStart
	}
	for _, name := range slices.Sorted(maps.Keys(s.byName)) {
		kind, other := path.Ext(name), s.byName[name]
		isFor := strings.TrimSuffix(name, kind) == strings.TrimSuffix(u.name, ".service")
		if unit := other.last(strings.ToUpper(kind[1:2])+kind[2:], "Unit"); unit != "" {
			isFor = unit == u.name
		}
		switch {
		case !isFor || kind != ".timer" && kind != ".path" || s.isStarted(name, 0) != yes:
		case kind == ".path":
			return "", "it runs when " + name + " sees a change", AtServiceStart
		case len(other.values("Timer", "OnCalendar"))+len(other.values("Timer", "OnUnitActiveSec"))+
			len(other.values("Timer", "OnUnitInactiveSec")) > 0:
			return "", "", Periodically
		default:
			return "", "", AtServiceStart
		}
	}
	hasInstall := len(u.values("Install", "WantedBy"))+len(u.values("Install", "RequiredBy")) > 0
	if started == no && hasInstall {
		return "nothing enables " + u.name, "", AtServiceStart
	}
	return "", "nothing is known to start " + u.name, AtServiceStart
}

// unitPairs returns the assignments in a file of a unit. Lines that a backslash continues are joined with
// a blank.
func (r *reader) unitPairs(file string) []pair {
	data, err := r.tree.Read(file, maxScriptFile)
	if err != nil {
		return nil
	}
	var pairs []pair
	section, joined, first := "", "", 0
	for number, line := range numbered(string(data)) {
		line = strings.TrimSpace(line)
		if line == "" && joined == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
			continue
		}
		if joined == "" {
			first = number
		}
		joined += line
		if before, continues := strings.CutSuffix(joined, `\`); continues {
			joined = before + " "
			continue
		}
		if name, value, ok := strings.Cut(joined, "="); ok && !strings.HasPrefix(joined, "[") {
			at := tree.Place{File: file, Line: first}
			pairs = append(pairs, pair{at, section, strings.TrimSpace(name), strings.TrimSpace(value)})
		} else {
			section = strings.Trim(joined, "[]")
		}
		joined = ""
	}
	return pairs
}

package fixes

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/change"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

const (
	// defaultRank sorts after most drop-ins of packages and administrators.
	defaultRank = "60-"
	// defaultDropIn sorts before all other drop-ins.
	defaultDropIn = "00-default.yaml"
)

// Entry is a key of a drop-in and its value, in YAML.
type Entry [2]string

// AssignmentEntry returns an assignment as a key of the configuration, if it can be one.
func AssignmentEntry(a inventory.Assignment) (Entry, bool) {
	s := sysfs.Lookup(a.Name)
	value, err := strconv.ParseInt(a.Value, 10, 64)
	if s == nil || s.Kind == sysfs.Text || sysfs.ReadOnly(a.Name) || err != nil || value < s.Min || value > s.Max {
		return Entry{}, false
	}
	return Entry{s.Name, strconv.FormatInt(value, 10)}, true
}

// Configure returns the steps that write settings and load-time parameters into a drop-in of the
// configuration, and apply it. The drop-in is named after the topic and replaced as a whole: a topic
// always writes the same keys.
func Configure(h *picture.Host, topic string, settings, parameters []Entry) []finding.Step {
	var steps []finding.Step
	if defaults := embeddedDefaults(h, settings); len(defaults) > 0 {
		steps = append(steps, writeDropIn(defaultDropIn, defaults, nil))
	}
	steps = append(steps, writeDropIn(dropInName(h, topic, settings), settings, parameters))
	if len(parameters) > 0 {
		steps = append(steps, change.Run("ctkeeper", "persist"))
	}
	return append(steps, Enforce(h))
}

// Set returns the steps that write a value into the kernel now; none where it is not a number that the kernel
// accepts for the setting.
func Set(name, value string) []finding.Step {
	e, isEntry := AssignmentEntry(inventory.Assignment{Name: name, Value: value})
	if !isEntry {
		return nil
	}
	file := "/" + sysfs.Lookup(name).File()
	if name == sysfs.Hashsize { // the sysctl is read-only before 4.7
		file = "/sys/module/nf_conntrack/parameters/hashsize"
	}
	return []finding.Step{change.WriteFile(file, e[1])}
}

// embeddedDefaults returns what the embedded default asks for besides the settings, where it is in use.
// The first file with settings replaces it, so it has to be written too, before every other drop-in.
func embeddedDefaults(h *picture.Host, settings []Entry) []Entry {
	if h.Config == nil || !h.Config.UsesDefault {
		return nil
	}
	var defaults []Entry
	for _, w := range h.Config.Wants {
		isSet := slices.ContainsFunc(settings, func(e Entry) bool { return e[0] == w.Setting.Name })
		if w.Auto && !isSet {
			defaults = append(defaults, Entry{w.Setting.Name, "{" + string(w.Policy) + ": auto}"})
		}
	}
	return defaults
}

// writeDropIn returns the step that writes a drop-in.
func writeDropIn(name string, settings, parameters []Entry) finding.Step {
	lines := []string{"settings:"}
	for _, e := range settings {
		lines = append(lines, "  "+e[0]+": "+e[1])
	}
	if len(parameters) > 0 {
		lines = append(lines, "module:", "  parameters:")
		for _, e := range parameters {
			lines = append(lines, "    "+e[0]+": "+e[1])
		}
	}
	return change.WriteFile(path.Join(picture.ConfigDropIns, name), lines...)
}

// dropInName names the drop-in of a topic so that it sorts after every drop-in that has one of the
// settings now.
func dropInName(h *picture.Host, topic string, settings []Entry) string {
	var origins []tree.Place
	for _, e := range settings {
		w, _ := h.Want(e[0])
		origins = append(origins, w.Origin)
	}
	return DropInAfter(topic, origins...)
}

// DropInAfter names the drop-in of a topic so that it sorts after the drop-ins of the origins.
func DropInAfter(topic string, origins ...tree.Place) string {
	name := defaultRank + topic + ".yaml"
	for _, origin := range origins {
		last := path.Base(origin.File)
		if strings.HasPrefix(path.Base(path.Dir(origin.File)), "conf.d") && last > name {
			// "_" sorts after ".": 99-site_table.yaml after 99-site.yaml.
			name = strings.TrimSuffix(last, ".yaml") + "_" + topic + ".yaml"
		}
	}
	return name
}

package fixes

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/shell"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// AsEntry is an assignment as a key of the configuration, if it can be one.
func AsEntry(a inventory.Assignment) (Entry, bool) {
	s := sysfs.Lookup(a.Name)
	value, err := strconv.ParseInt(a.Value, 10, 64)
	if s == nil || s.Kind == sysfs.Text || sysfs.ReadOnly(a.Name) || err != nil || value < s.Min || value > s.Max {
		return Entry{}, false
	}
	return Entry{s.Name, strconv.FormatInt(value, 10)}, true
}

// defaultRank comes after what a package or a person wrote, most of the time.
const defaultRank = "60-"

// defaultDropIn comes before all others.
const defaultDropIn = "00-default.yaml"

// Entry is a key of a drop-in and its value, in YAML.
type Entry [2]string

// Configure gives the commands that put settings and load-time parameters into a
// drop-in of the configuration, and then into the kernel. What the file held before
// is replaced: a topic always writes the same keys.
func Configure(h *picture.Host, topic string, settings, parameters []Entry) []string {
	write := []string{"mkdir -p " + picture.ConfigDropIns}
	// Any file takes the place of the embedded default. What that asks for must not be
	// lost, nor come after what another finding's drop-in says.
	if h.Config != nil && len(h.Config.Files) == 0 {
		var defaults []Entry
		for _, w := range h.Config.Wants {
			given := slices.ContainsFunc(settings, func(e Entry) bool { return e[0] == w.Setting.Name })
			if w.Auto && !given {
				defaults = append(defaults, Entry{w.Setting.Name, "{" + string(w.Policy) + ": auto}"})
			}
		}
		if len(defaults) > 0 {
			write = append(write, writeDropIn(defaultDropIn, defaults, nil))
		}
	}
	write = append(write, writeDropIn(dropInName(h, topic, settings), settings, parameters))
	commands := []string{strings.Join(write, " && ")}
	if len(parameters) > 0 {
		commands = append(commands, "ctkeeper persist")
	}
	return append(commands, Enforce(h))
}

// writeDropIn is the command that writes a drop-in.
func writeDropIn(name string, settings, parameters []Entry) string {
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
	for i, line := range lines {
		lines[i] = "'" + line + "'"
	}
	return "printf '%s\\n' " + strings.Join(lines, " ") + " > " + shell.Quote(path.Join(picture.ConfigDropIns, name))
}

// dropInName names the drop-in of a topic so that it comes after every drop-in
// that gives one of the settings now.
func dropInName(h *picture.Host, topic string, settings []Entry) string {
	var origins []tree.Place
	for _, e := range settings {
		w, _ := h.Want(e[0])
		origins = append(origins, w.Origin)
	}
	return DropInAfter(topic, origins...)
}

// DropInAfter names the drop-in of a topic so that it comes after those that values
// are from.
func DropInAfter(topic string, origins ...tree.Place) string {
	name := defaultRank + topic + ".yaml"
	for _, origin := range origins {
		if last := path.Base(origin.File); strings.HasPrefix(path.Base(path.Dir(origin.File)), "conf.d") && last > name {
			// "_" comes after ".": 99-site_table.yaml after 99-site.yaml.
			name = strings.TrimSuffix(last, ".yaml") + "_" + topic + ".yaml"
		}
	}
	return name
}

// Enforce is the command that has the configuration in force now.
func Enforce(h *picture.Host) string {
	if h.Env.Systemd && h.Env.Installed {
		return "systemctl reload-or-restart ctkeeper"
	}
	return "ctkeeper apply"
}

package doctor

import (
	"path"
	"slices"
	"strings"
)

const (
	configDropIns = "/etc/ctkeeper/conf.d"
	// firstRank comes after what a package or a person wrote, most of the time.
	firstRank = "60-"
	// defaultDropIn comes before all others.
	defaultDropIn = "00-default.yaml"
)

// entry is one key of a drop-in with its value, in YAML.
type entry struct{ key, value string }

// configure gives the commands that put settings and load-time parameters into a
// drop-in of the configuration, and then into the kernel. What the file held before
// is replaced: a topic always writes the same keys.
func (h *Host) configure(topic string, settings, parameters []entry) []string {
	write := []string{"mkdir -p " + configDropIns}
	// Any file takes the place of the embedded default. What that asks for must not be
	// lost, nor come after what another finding's drop-in says.
	if h.Config != nil && len(h.Config.Files) == 0 {
		var defaults []entry
		for _, w := range h.Config.Wants {
			given := slices.ContainsFunc(settings, func(e entry) bool { return e.key == w.Setting.Name })
			if w.Auto && !given {
				defaults = append(defaults, entry{w.Setting.Name, "{" + string(w.Policy) + ": auto}"})
			}
		}
		if len(defaults) > 0 {
			write = append(write, dropIn(defaultDropIn, defaults, nil))
		}
	}
	write = append(write, dropIn(h.dropInName(topic, settings), settings, parameters))
	commands := []string{strings.Join(write, " && ")}
	if len(parameters) > 0 {
		commands = append(commands, "ctkeeper persist")
	}
	return append(commands, h.enforce())
}

// dropIn is the command that writes a drop-in.
func dropIn(name string, settings, parameters []entry) string {
	lines := []string{"settings:"}
	for _, e := range settings {
		lines = append(lines, "  "+e.key+": "+e.value)
	}
	if len(parameters) > 0 {
		lines = append(lines, "module:", "  parameters:")
		for _, e := range parameters {
			lines = append(lines, "    "+e.key+": "+e.value)
		}
	}
	for i, line := range lines {
		lines[i] = "'" + line + "'"
	}
	return "printf '%s\\n' " + strings.Join(lines, " ") + " > " + quote(path.Join(configDropIns, name))
}

// dropInName names the drop-in of a topic so that it comes after every drop-in
// that gives one of the settings now.
func (h *Host) dropInName(topic string, settings []entry) string {
	var origins []string
	for _, e := range settings {
		w, _ := h.want(e.key)
		origins = append(origins, w.Origin)
	}
	return dropInAfter(topic, origins...)
}

// dropInAfter names the drop-in of a topic so that it comes after those that values
// are from, which are files with lines.
func dropInAfter(topic string, origins ...string) string {
	name := firstRank + topic + ".yaml"
	for _, origin := range origins {
		file, _, _ := strings.Cut(origin, ":")
		if last := path.Base(file); strings.HasPrefix(path.Base(path.Dir(file)), "conf.d") && last > name {
			// "_" comes after ".": 99-site_table.yaml after 99-site.yaml.
			name = strings.TrimSuffix(last, ".yaml") + "_" + topic + ".yaml"
		}
	}
	return name
}

// enforce is the command that has the configuration in force now.
func (h *Host) enforce() string {
	if h.Place.Systemd && h.Place.Installed {
		return "systemctl reload-or-restart ctkeeper"
	}
	return "ctkeeper apply"
}

// settled reports whether a file of the configuration asks for a setting, and has
// it: then what a log or a counter tells may be of the time before.
func (h *Host) settled(name string) bool {
	w, asked := h.want(name)
	value, there := h.Settings[name]
	return asked && there && len(h.Config.Files) > 0 && w.Satisfied(value)
}

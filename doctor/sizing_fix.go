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
)

// entry is one key of a drop-in with its value, in YAML.
type entry struct{ key, value string }

// configure gives the commands that put settings and load-time parameters into a
// drop-in of the configuration, and then into the kernel. What the file held before
// is replaced: a topic always writes the same keys.
func (h *Host) configure(topic string, settings, parameters []entry) []string {
	// Any file takes the place of the embedded default: what it asks for must not
	// be lost with it.
	if h.Config != nil && len(h.Config.Files) == 0 {
		for _, w := range h.Config.Wants {
			given := slices.ContainsFunc(settings, func(e entry) bool { return e.key == w.Setting.Name })
			if !given && w.Auto {
				settings = append(settings, entry{w.Setting.Name, "{" + string(w.Policy) + ": auto}"})
			}
		}
	}
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
	file := path.Join(configDropIns, h.dropInName(topic, settings))
	commands := []string{"mkdir -p " + configDropIns + " && printf '%s\\n' " + strings.Join(lines, " ") + " > " + quote(file)}
	if len(parameters) > 0 {
		commands = append(commands, "ctkeeper persist")
	}
	return append(commands, h.enforce())
}

// dropInName names the drop-in of a topic so that it comes after every drop-in
// that gives one of the settings now.
func (h *Host) dropInName(topic string, settings []entry) string {
	name := firstRank + topic + ".yaml"
	for _, e := range settings {
		w, _ := h.want(e.key)
		file, _, _ := strings.Cut(w.Origin, ":")
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

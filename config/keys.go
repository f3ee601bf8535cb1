package config

import (
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// topKeys returns the sections.
func topKeys() []string { return []string{"settings", "module", "enforcement", "guard"} }

// sectionOf returns the section or sections of a key that stands at the top level by mistake,
// and the empty string for an unknown key.
func sectionOf(key string) string {
	switch key {
	case "load", "parameters":
		return "module"
	case "mode":
		return "enforcement or guard"
	case "resync":
		return "enforcement"
	case "allow":
		return "guard"
	}
	if s := sysfs.Lookup(key); s != nil {
		return "settings"
	}
	return ""
}

// settingNames returns the short names of all settings, for suggestions.
func settingNames() []string {
	var names []string
	for _, s := range sysfs.Catalogue() {
		names = append(names, s.Name)
		if s.Alias != "" {
			names = append(names, s.Alias)
		}
	}
	return names
}

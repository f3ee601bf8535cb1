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

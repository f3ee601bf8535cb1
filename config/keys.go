package config

import (
	"strings"

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

// nearest returns the known name that is most like a misspelt one, and the empty string where
// none is near.
func nearest(name string, known []string) string {
	best, least := "", 1+max(1, min(3, len(name)/3))
	if len(name) > 64 {
		return ""
	}
	for _, candidate := range known {
		if n := distance(strings.ToLower(name), candidate); n < least {
			best, least = candidate, n
		}
	}
	return best
}

// distance returns the number of edits between a and b (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
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

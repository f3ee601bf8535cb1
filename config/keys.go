package config

import (
	"fmt"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// The settings that may be auto or cost memory.
const (
	nameHashsize  = "hashsize"
	nameMax       = "max"
	nameExpectMax = "expect_max"
)

func topKeys() []string { return []string{"settings", "module", "enforcement", "guard", "metrics"} }

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
	case "listen", "web_config", "textfile":
		return "metrics"
	}
	if s := sysfs.Lookup(key); s != nil {
		return "settings"
	}
	return ""
}

func (d *decoder) enforcement(n *yaml.Node) {
	d.section(n, "enforcement", func(k, v *yaml.Node) {
		switch k.Value {
		case "mode":
			d.layer.mode = read(d, v, keyMode, mode)
		case "resync":
			d.layer.resync = read(d, v, keyResync, resync)
		default:
			d.failUnknown(k, "enforcement", []string{"mode", "resync"})
		}
	})
}

func mode(s scalar) (reconcile.Mode, *fault) {
	if m := reconcile.Mode(s.text); m == reconcile.Enforce || m == reconcile.Observe {
		return m, nil
	}
	return "", &fault{problem: quote(s.text) + " is not a mode", allowed: "enforce or observe"}
}

func resync(s scalar) (time.Duration, *fault) {
	allowed := fmt.Sprintf("%s..%s", shortDuration(MinResync), shortDuration(MaxResync))
	off := s.text == "off" || s.text == "never" || s.text == "false"
	if off || !s.quoted && s.text == "0" {
		return 0, &fault{problem: "cannot be off: writes from containers may show in no other way", allowed: allowed}
	}
	d, wrong := duration(s)
	if wrong == nil && (d < MinResync || d > MaxResync) {
		wrong = &fault{problem: quote(s.text) + " is out of range", allowed: allowed}
	}
	return d, wrong
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

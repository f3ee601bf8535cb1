package picture

import (
	"path"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
)

// Capabilities are the daemon's capability sets, as its unit's lines make them (systemd.exec(5)). They
// have the capabilities that ctkeeper can use, by name.
type Capabilities struct {
	bounding, ambient map[string]bool
	// isDefault is true while the bounding set is systemd's default, everything: the first list
	// replaces it. Later lists add to the set.
	isDefault bool
	// needsAmbient is true for a user other than root.
	needsAmbient bool
}

// HasUnitCopy reports whether the overrides begin with a copy of the unit.
func HasUnitCopy(overrides []finding.Evidence) bool {
	return len(overrides) > 0 && path.Base(overrides[0].File) == UnitName
}

// NewCapabilities returns the sets before the overrides: those of the shipped unit, or systemd's
// defaults where a copy replaces it.
func NewCapabilities(overrides []finding.Evidence) Capabilities {
	if HasUnitCopy(overrides) {
		all := map[string]bool{"CAP_NET_ADMIN": true, "CAP_BPF": true, "CAP_PERFMON": true}
		return Capabilities{bounding: all, ambient: map[string]bool{}, isDefault: true}
	}
	return Capabilities{
		bounding: map[string]bool{"CAP_NET_ADMIN": true}, ambient: map[string]bool{"CAP_NET_ADMIN": true},
		needsAmbient: true,
	}
}

// UnitCapabilities returns what the daemon's unit grants.
func (h *Host) UnitCapabilities() Capabilities {
	c := NewCapabilities(h.Env.Overrides)
	for _, line := range h.Env.Overrides {
		c.Apply(ParseUnitLine(line))
	}
	return c
}

// Has reports whether the daemon gets a capability.
func (c *Capabilities) Has(name string) bool {
	return c.bounding[name] && (!c.needsAmbient || c.ambient[name])
}

// Apply applies an assignment of the unit.
func (c *Capabilities) Apply(key, value string) {
	switch key {
	case "CapabilityBoundingSet":
		if c.isDefault && value != "" && value[0] != '~' {
			c.bounding = map[string]bool{}
		}
		c.isDefault = false
		applySet(c.bounding, value)
	case "AmbientCapabilities":
		applySet(c.ambient, value)
	case "User":
		c.needsAmbient = value != "" && value != "root" && value != "0"
	case "DynamicUser":
		c.needsAmbient = c.needsAmbient || IsOn(value)
	}
}

// applySet applies one assignment to a set: an empty value clears it, a list adds to it, and a list
// after "~" is removed from it.
func applySet(set map[string]bool, value string) {
	list, inverted := strings.CutPrefix(value, "~")
	names := strings.Fields(strings.ToUpper(list))
	for _, name := range []string{"CAP_NET_ADMIN", "CAP_BPF", "CAP_PERFMON"} {
		isNamed := slices.Contains(names, name)
		switch {
		case inverted && len(names) == 0:
			set[name] = true
		case inverted:
			set[name] = set[name] && !isNamed
		case value == "":
			set[name] = false
		default:
			set[name] = set[name] || isNamed
		}
	}
}

// ParseUnitLine returns the key and the value of a unit's line.
func ParseUnitLine(line finding.Evidence) (key, value string) {
	key, value, _ = strings.Cut(line.Text, "=")
	return strings.TrimSpace(key), strings.TrimSpace(value)
}

// IsOn parses a boolean of a unit (systemd.syntax(7)); what is not false is on.
func IsOn(value string) bool {
	return value != "" && !slices.Contains([]string{"no", "false", "off", "0", "n", "f"}, strings.ToLower(value))
}

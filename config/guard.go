package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/ctkeeper/ctkeeper/reconcile"
)

// maxAllowed is how many units guard.allow may name: far above any sensible list, and small
// enough to compare with every cgroup that is made.
const maxAllowed = 64

// maxUnitName is the length of a unit's name in bytes (UNIT_NAME_MAX of systemd, without its
// last byte).
const maxUnitName = 255

// unitChars are what a unit's name consists of (systemd.unit(5)).
const unitChars = `0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz:-_.\@`

const cgroupTypes = ".service, .scope, .slice, .socket, .mount or .swap"

// cgroupTypeNames returns the suffixes of units that have a cgroup, and so may write.
func cgroupTypeNames() []string {
	return []string{"service", "scope", "slice", "socket", "mount", "swap"}
}

// otherTypeNames returns the suffixes of units without one (systemd.unit(5)).
func otherTypeNames() []string {
	return []string{"timer", "target", "path", "device", "automount"}
}

const guardForms = "off, watch, lock, or a mapping of mode and allow"

// guard reads the section, or its mode alone. Nothing at all is a section without keys.
func (d *decoder) guard(n *yaml.Node) {
	switch {
	case n.Kind == yaml.ScalarNode && (n.Value != "" || n.ShortTag() != "!!null"):
		d.layer.guardMode = read(d, n, "guard", guardMode)
		return
	case n.Kind == yaml.SequenceNode:
		d.fail(n, "guard", &fault{problem: "is a list", allowed: guardForms})
		return
	}
	d.section(n, "guard", func(k, v *yaml.Node) {
		switch k.Value {
		case "mode":
			d.layer.guardMode = read(d, v, keyGuardMode, guardMode)
		case "allow":
			d.layer.guardAllow = d.allow(v)
		default:
			d.failUnknown(k, "guard", []string{"mode", "allow"})
		}
	})
}

func guardMode(s scalar) (GuardMode, *fault) {
	modes := []string{string(GuardOff), string(GuardWatch), string(GuardLock)}
	if slices.Contains(modes, s.text) {
		return GuardMode(s.text), nil
	}
	wrong := &fault{problem: quote(s.text) + " is not a mode of the guard", allowed: "off, watch or lock"}
	switch near := nearest(s.text, modes); {
	case strings.EqualFold(s.text, "false"): // what a tool of YAML 1.1 makes of off
		wrong.allowed = "write off"
	case near != "":
		wrong.allowed = "did you mean " + near + "?"
	}
	return "", wrong
}

// allow reads the list of units. What is wrong with any of them is wrong with the list.
func (d *decoder) allow(n *yaml.Node) given[[]string] {
	before := len(d.errs)
	switch {
	case n.Kind != yaml.SequenceNode:
		d.fail(n, keyGuardAllow, &fault{problem: "is " + kindOf(n), allowed: "a list of units, as [kube-proxy.service]; [] is none"})
		return given[[]string]{}
	case n.Style&yaml.TaggedStyle != 0:
		d.fail(n, keyGuardAllow, &fault{problem: "has the tag " + strconv.Quote(n.Tag), allowed: "the list without a tag"})
	case len(n.Content) > maxAllowed:
		d.fail(n, keyGuardAllow, &fault{problem: fmt.Sprintf("has %d units", len(n.Content)), allowed: fmt.Sprintf("up to %d; a slice stands for all units in it", maxAllowed)})
	}
	first := map[string]int{} // the unit → its line
	for _, item := range n.Content {
		item = deref(item)
		got := read(d, item, keyGuardAllow, unit)
		line, twice := first[got.value]
		switch {
		case !got.set:
		case twice:
			d.fail(item, keyGuardAllow, &fault{problem: fmt.Sprintf("%s is given twice, first in line %d", quote(got.value), line), allowed: "each unit once"})
		default:
			first[got.value] = item.Line
		}
	}
	if len(d.errs) > before {
		return given[[]string]{}
	}
	return given[[]string]{value: slices.Sorted(maps.Keys(first)), at: d.at(n), set: true}
}

// unit reads the name of a unit that has a cgroup, as unit_name_is_valid of systemd does, and
// no template: nothing runs in one.
func unit(s scalar) (string, *fault) {
	name, prefix, suffix := s.text, s.text, ""
	if dot := strings.LastIndexByte(name, '.'); dot >= 0 {
		prefix, suffix = name[:dot], name[dot+1:]
	}
	_, instance, at := strings.Cut(prefix, "@")
	switch {
	case name == "":
		return "", &fault{problem: `"" is no unit`, allowed: "such as kube-proxy.service"}
	case len(name) > maxUnitName:
		return "", &fault{problem: quote(name) + " is too long for a unit", allowed: fmt.Sprintf("at most %d bytes", maxUnitName)}
	case strings.ContainsFunc(name, notInUnit):
		return "", &fault{problem: quote(name) + " has characters that no unit has", allowed: `letters, digits and :-_.\@`}
	case slices.Contains(otherTypeNames(), suffix):
		return "", &fault{problem: quote(name) + " has no cgroup, so that nothing writes from it", allowed: "units that have one: " + cgroupTypes}
	case !slices.Contains(cgroupTypeNames(), suffix):
		return "", noSuffix(name, prefix, suffix)
	case prefix == "" || prefix[0] == '@':
		return "", &fault{problem: quote(name) + " is no unit", allowed: "a name before ." + suffix}
	case at && instance == "":
		return "", &fault{problem: quote(name) + " is a template, and nothing runs in one", allowed: "name the instance: " + prefix + "INSTANCE." + suffix}
	case name == "-.slice":
		return "", &fault{problem: "-.slice is every unit there is", allowed: "to refuse nobody: guard: watch"}
	}
	return name, nil
}

func notInUnit(r rune) bool { return !strings.ContainsRune(unitChars, r) }

// noSuffix suggests what a name without the suffix of a unit may be meant for.
func noSuffix(name, prefix, suffix string) *fault {
	meant := name + ".service"
	if near := nearest(suffix, cgroupTypeNames()); near != "" && prefix != "" {
		meant = prefix + "." + near
	}
	return &fault{problem: quote(name) + " has no suffix of a unit", allowed: "did you mean " + quote(meant) + "?"}
}

// checkGuard warns of a guard that does less than it looks like.
func (r *resolver) checkGuard() {
	mode, allow := r.layer.guardMode, r.layer.guardAllow
	if mode.value != GuardLock {
		if len(allow.value) > 0 {
			r.warn(allow.at, "guard.allow has no effect without guard.mode lock: nobody is refused")
		}
		return
	}
	if enforcement := r.layer.mode; enforcement.value == reconcile.Observe {
		r.warn(mode.at, "guard.mode lock only watches, because enforcement.mode is observe in "+enforcement.at.origin().String())
	}
	for _, w := range r.layer.wants {
		if w.setting.Global {
			return
		}
	}
	r.warn(mode.at, "guard.mode lock has nothing to refuse: none of hashsize, max and expect_max is kept")
}

func (r *resolver) warn(p position, text string) {
	r.warnings = append(r.warnings, p.origin().String()+": "+text)
}

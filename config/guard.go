package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/ctkeeper/ctkeeper/host/spelling"
	"github.com/ctkeeper/ctkeeper/reconcile"
)

// GuardMode is what is done about foreign writes, beside repairing them.
type GuardMode string

// The modes of the guard, by their names in configurations.
const (
	// GuardOff names no writers. Writes from containers are found by the next periodic pass.
	GuardOff GuardMode = "off"
	// GuardWatch names every writer, and sees every write at once.
	GuardWatch GuardMode = "watch"
	// GuardHold also absorbs foreign writes of another value: they succeed without effect.
	GuardHold GuardMode = "hold"
	// GuardLock also refuses foreign writes of another value.
	GuardLock GuardMode = "lock"
)

// Guard is the section guard.
type Guard struct {
	// Mode is GuardOff unless configured.
	Mode GuardMode
	// Allow are the units whose writes are never blocked, sorted, without duplicates.
	Allow []string
}

// maxAllowed is the largest number of units in guard.allow: far above any sensible list, and
// small enough to compare with every new cgroup.
const maxAllowed = 64

// maxUnitName is the longest name of a unit, in bytes (UNIT_NAME_MAX of systemd, without its NUL
// byte).
const maxUnitName = 255

// unitChars are the characters of unit names (systemd.unit(5)).
const unitChars = `0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz:-_.\@`

// cgroupTypes returns the suffixes of units that have a cgroup, and so processes that can write.
func cgroupTypes() []string {
	return []string{"service", "scope", "slice", "socket", "mount", "swap"}
}

// otherTypes returns the suffixes of units without a cgroup (systemd.unit(5)).
func otherTypes() []string {
	return []string{"timer", "target", "path", "device", "automount"}
}

const guardForms = "off, watch, hold, lock, or a mapping of mode and allow"

// guard decodes the section, or its mode alone. An empty value is a section without keys.
func (d *decoder) guard(n *yaml.Node) {
	switch {
	case n.Kind == yaml.ScalarNode && (n.Value != "" || n.ShortTag() != "!!null"):
		d.layer.guardMode = read(d, n, "guard", parseGuardMode)
		return
	case n.Kind == yaml.SequenceNode:
		d.fail(n, "guard", newFault("is a list", guardForms))
		return
	}
	d.section(n, "guard", func(k, v *yaml.Node) {
		switch k.Value {
		case "mode":
			d.layer.guardMode = read(d, v, keyGuardMode, parseGuardMode)
		case "allow":
			d.layer.guardAllow = d.allow(v)
		default:
			d.failUnknown(k, "guard", []string{"mode", "allow"})
		}
	})
}

func parseGuardMode(s scalar) (GuardMode, *fault) {
	modes := []string{string(GuardOff), string(GuardWatch), string(GuardHold), string(GuardLock)}
	if slices.Contains(modes, s.text) {
		return GuardMode(s.text), nil
	}
	wrong := newFault(quote(s.text)+" is not a mode of the guard", "off, watch, hold or lock")
	switch near := spelling.Nearest(s.text, modes); {
	case strings.EqualFold(s.text, "false"): // tools of YAML 1.1 write false for off
		wrong.allowed = "write off"
	case near != "":
		wrong.allowed = "did you mean " + near + "?"
	}
	return "", wrong
}

// allow decodes the list of units. An error in any of them invalidates the list.
func (d *decoder) allow(n *yaml.Node) optional[[]string] {
	before := d.failed
	switch {
	case n.Kind != yaml.SequenceNode:
		d.fail(n, keyGuardAllow, newFault("is "+kindOf(n),
			"a list of units, such as [kube-proxy.service]; [] for no unit"))
		return optional[[]string]{}
	case n.Style&yaml.TaggedStyle != 0:
		d.fail(n, keyGuardAllow, newFault("has the tag "+strconv.Quote(shorten(n.Tag)), "the list without a tag"))
	case len(n.Content) > maxAllowed:
		d.fail(n, keyGuardAllow, newFault(fmt.Sprintf("has %d units", len(n.Content)),
			fmt.Sprintf("up to %d; a slice includes all units in it", maxAllowed)))
	}
	first := map[string]int{} // the line of each unit
	for _, item := range n.Content {
		item = deref(item)
		got := read(d, item, keyGuardAllow, parseUnit)
		line, twice := first[got.value]
		switch {
		case !got.set:
		case twice:
			problem := fmt.Sprintf("%s is given twice, first in line %d", quote(got.value), line)
			d.fail(item, keyGuardAllow, newFault(problem, "each unit once"))
		default:
			first[got.value] = item.Line
		}
	}
	if d.failed > before {
		return optional[[]string]{}
	}
	return optional[[]string]{value: slices.Sorted(maps.Keys(first)), at: d.at(n), set: true}
}

// parseUnit parses the name of a unit that has a cgroup, with the rules of systemd's
// unit_name_is_valid. It refuses templates, because nothing runs in them.
func parseUnit(s scalar) (string, *fault) {
	name, prefix, suffix := s.text, s.text, ""
	if dot := strings.LastIndexByte(name, '.'); dot >= 0 {
		prefix, suffix = name[:dot], name[dot+1:]
	}
	_, instance, at := strings.Cut(prefix, "@")
	switch {
	case name == "":
		return "", newFault(`"" is not a unit`, "such as kube-proxy.service")
	case len(name) > maxUnitName:
		return "", newFault(quote(name)+" is too long for a unit", fmt.Sprintf("at most %d bytes", maxUnitName))
	case strings.ContainsFunc(name, isNotUnitChar):
		return "", newFault(quote(name)+" has characters that unit names cannot have", `letters, digits and :-_.\@`)
	case slices.Contains(otherTypes(), suffix):
		return "", newFault(quote(name)+" has no cgroup, so nothing writes from it",
			"units that have one: ."+strings.Join(cgroupTypes(), ", ."))
	case !slices.Contains(cgroupTypes(), suffix):
		return "", suffixFault(name, prefix, suffix)
	case prefix == "" || prefix[0] == '@':
		return "", newFault(quote(name)+" is not a unit", "a name before ."+suffix)
	case at && instance == "":
		return "", newFault(quote(name)+" is a template, in which nothing runs",
			"name the instance: "+prefix+"INSTANCE."+suffix)
	case name == "-.slice":
		return "", newFault("-.slice includes all units", "to refuse no writes: guard: watch")
	}
	return name, nil
}

func isNotUnitChar(r rune) bool { return !strings.ContainsRune(unitChars, r) }

// suffixFault returns the fault of a name without a unit's suffix, with a suggestion.
func suffixFault(name, prefix, suffix string) *fault {
	meant := name + ".service"
	if near := spelling.Nearest(suffix, cgroupTypes()); near != "" && prefix != "" {
		meant = prefix + "." + near
	}
	return newFault(quote(name)+" does not end in the suffix of a unit", "did you mean "+quote(meant)+"?")
}

// checkGuard warns of a guard that does less than the configuration suggests.
func (r *resolver) checkGuard() {
	mode, allow := r.layer.guardMode, r.layer.guardAllow
	if mode.value != GuardHold && mode.value != GuardLock {
		if len(allow.value) > 0 {
			r.warn(allow.at, "guard.allow has no effect without guard.mode hold or lock: no writes are blocked")
		}
		return
	}
	if enforcement := r.layer.mode; enforcement.value == reconcile.Observe {
		r.warn(mode.at, "guard.mode "+string(mode.value)+" only watches, because enforcement.mode is observe in "+
			enforcement.at.origin().String())
	}
}

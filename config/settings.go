package config

import (
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/ctkeeper/ctkeeper/host/spelling"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// settings decodes the section settings.
func (d *decoder) settings(n *yaml.Node) {
	d.hasSettings = !isEmpty(n)
	first := map[string]*yaml.Node{} // the key of each setting, by the setting's name
	d.section(n, "settings", func(k, v *yaml.Node) {
		key := join("settings", quote(k.Value))
		set := sysfs.Lookup(k.Value)
		switch {
		case sysfs.ReadOnly(k.Value):
			d.fail(k, key, newFault("is read-only", "remove the key"))
			return
		case set == nil:
			d.failUnknownSetting(k)
			return
		}
		if earlier, twice := first[set.Name]; twice {
			problem := fmt.Sprintf("is the same setting as %s in line %d", earlier.Value, earlier.Line)
			d.fail(k, key, newFault(problem, "one name in a file"))
			return
		}
		first[set.Name] = k
		d.warnMisspelt(k, set)
		w := want{setting: set, key: key, policy: sysfs.Exactly, at: d.at(k)}
		if d.policy(&w, v) {
			d.layer.wants[set.Name] = w
		}
	})
}

func (d *decoder) failUnknownSetting(k *yaml.Node) {
	const prefixes = "net.netfilter.nf_conntrack_"
	wrong := newFault("unknown setting", "NAME of nf_conntrack_NAME, or a full sysctl name under net.netfilter.")
	if d.isFull() {
		d.fail(k, "", wrong)
		return
	}
	name := strings.ReplaceAll(k.Value, "/", ".")
	for _, prefix := range []string{prefixes, "net.nf_conntrack_", "nf_conntrack_"} {
		name = strings.TrimPrefix(name, prefix)
	}
	if near := spelling.Nearest(name, sysfs.Names()); near != "" {
		wrong.allowed = "did you mean " + near + "?"
	}
	d.fail(k, join("settings", quote(k.Value)), wrong)
}

// warnMisspelt warns of a full sysctl name that is not in the catalogue and similar to one that
// is. It is accepted, because new kernels bring new keys.
func (d *decoder) warnMisspelt(k *yaml.Node, set *sysfs.Setting) {
	name, found := strings.CutPrefix(set.Name, "net.netfilter.nf_conntrack_")
	if set.Kind != sysfs.Text || !found {
		return
	}
	if near := spelling.Nearest(name, sysfs.Names()); near != "" {
		d.warnings = append(d.warnings, fmt.Sprintf(
			"%s: %s is not in the catalogue and is kept as text; did you mean %s?", d.at(k).origin(), set.Name, near))
	}
}

// policy decodes a value, or a mapping of one policy to a value, into w. It reports whether it
// is valid.
func (d *decoder) policy(w *want, n *yaml.Node) bool {
	if n.Kind != yaml.MappingNode {
		return d.value(w, n)
	}
	const allowed = "one of exactly, at_least, at_most"
	before, count, ok := d.failed, 0, false
	d.section(n, w.key, func(k, v *yaml.Node) {
		count++
		policy := sysfs.Policy(k.Value)
		switch policy {
		case sysfs.Exactly, sysfs.AtLeast, sysfs.AtMost:
		default:
			d.failUnknown(k, w.key, []string{"exactly", "at_least", "at_most"})
			return
		}
		isOrdered := w.setting.Kind != sysfs.Text && w.setting.Kind != sysfs.Bool
		if !isOrdered && policy != sysfs.Exactly {
			problem := "has no meaning for a setting of kind " + string(w.setting.Kind)
			d.fail(k, join(w.key, k.Value), newFault(problem, "exactly"))
			return
		}
		w.policy = policy
		ok = d.value(w, v)
	})
	if d.failed == before && count != 1 {
		d.fail(n, w.key, newFault(fmt.Sprintf("has %d policies", count), allowed))
		return false
	}
	return ok && count == 1
}

// value decodes a setting's value into w, with the place of the value. It reports whether it is
// valid.
func (d *decoder) value(w *want, n *yaml.Node) bool {
	s, wrong := scalarOf(n)
	switch {
	case wrong != nil && n.Kind != yaml.ScalarNode:
		wrong.allowed = "a value, or a mapping with exactly, at_least or at_most"
	case wrong != nil:
	case s.text == auto && canBeAuto(w.setting.Name):
		w.auto = true
	case s.text == auto && w.setting.Kind != sysfs.Text:
		wrong = newFault("cannot be auto", "auto is for max and hashsize")
	default:
		w.value, wrong = parseValue(w.setting, s)
	}
	if wrong != nil {
		d.fail(n, w.key, wrong)
		return false
	}
	w.at = d.at(n)
	return true
}

package config

import (
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

func (d *decoder) settings(n *yaml.Node) {
	first := map[string]*yaml.Node{} // the setting's name → its key as written
	d.section(n, "settings", func(k, v *yaml.Node) {
		key := join("settings", quote(k.Value))
		set := sysfs.Lookup(k.Value)
		switch {
		case sysfs.ReadOnly(k.Value):
			d.fail(k, key, &fault{problem: "is read-only, a figure that the kernel counts", allowed: "leave it out"})
			return
		case set == nil:
			d.unknownSetting(k)
			return
		}
		if earlier, twice := first[set.Name]; twice {
			d.fail(k, key, &fault{
				problem: fmt.Sprintf("is the same setting as %s in line %d", earlier.Value, earlier.Line),
				allowed: "one name in a file",
			})
			return
		}
		first[set.Name] = k
		d.misspelt(k, set)
		w := want{setting: set, key: key, policy: sysfs.Exactly, at: d.at(k)}
		if d.policy(&w, v) {
			d.layer.wants[set.Name] = w
		}
	})
}

func (d *decoder) unknownSetting(k *yaml.Node) {
	const prefixes = "net.netfilter.nf_conntrack_"
	wrong := &fault{problem: "unknown setting", allowed: "NAME of nf_conntrack_NAME, or a full sysctl name under net.netfilter."}
	name := strings.ReplaceAll(k.Value, "/", ".")
	for _, prefix := range []string{prefixes, "net.nf_conntrack_", "nf_conntrack_"} {
		name = strings.TrimPrefix(name, prefix)
	}
	if near := nearest(name, settingNames()); near != "" {
		wrong.allowed = "did you mean " + near + "?"
	}
	d.fail(k, join("settings", quote(k.Value)), wrong)
}

// misspelt warns of a full sysctl name that is unknown and nearly a known one:
// it is kept, because new kernels bring new keys.
func (d *decoder) misspelt(k *yaml.Node, set *sysfs.Setting) {
	name, found := strings.CutPrefix(set.Name, "net.netfilter.nf_conntrack_")
	if set.Kind != sysfs.Text || !found {
		return
	}
	if near := nearest(name, settingNames()); near != "" {
		d.warnings = append(d.warnings, fmt.Sprintf("%s: %s is kept as a sysctl that ctkeeper does not know; did you mean %s?", d.at(k).origin(), set.Name, near))
	}
}

// policy reads a value, or a mapping of one policy to a value, into w. It
// reports whether there is one.
func (d *decoder) policy(w *want, n *yaml.Node) bool {
	if n.Kind != yaml.MappingNode {
		return d.value(w, n)
	}
	const allowed = "one of exactly, at_least, at_most"
	before, count, ok := len(d.errs), 0, false
	d.section(n, w.key, func(k, v *yaml.Node) {
		count++
		policy := sysfs.Policy(k.Value)
		switch policy {
		case sysfs.Exactly, sysfs.AtLeast, sysfs.AtMost:
		default:
			d.failUnknown(k, w.key, []string{"exactly", "at_least", "at_most"})
			return
		}
		if ordered := w.setting.Kind != sysfs.Text && w.setting.Kind != sysfs.Bool; !ordered && policy != sysfs.Exactly {
			d.fail(k, join(w.key, k.Value), &fault{problem: "has no meaning for a setting of kind " + string(w.setting.Kind), allowed: "exactly"})
			return
		}
		w.policy = policy
		ok = d.value(w, v)
	})
	if len(d.errs) == before && count != 1 {
		d.fail(n, w.key, &fault{problem: fmt.Sprintf("has %d policies", count), allowed: allowed})
		return false
	}
	return ok && count == 1
}

// value reads a setting's value into w, with the place of the value.
func (d *decoder) value(w *want, n *yaml.Node) bool {
	s, wrong := scalarOf(n)
	switch {
	case wrong != nil && n.Kind != yaml.ScalarNode:
		wrong.allowed = "a value, or a mapping with exactly, at_least or at_most"
	case wrong != nil:
	case s.text == auto && sizeable(w.setting.Name):
		w.auto = true
	case s.text == auto && w.setting.Kind != sysfs.Text:
		wrong = &fault{problem: "cannot be auto", allowed: "auto is for max and hashsize"}
	default:
		w.value, wrong = kernelValue(w.setting, s)
	}
	if wrong != nil {
		d.fail(n, w.key, wrong)
		return false
	}
	w.at = d.at(n)
	return true
}

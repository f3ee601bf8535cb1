package config

import (
	"math"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

// moduleParameter is a load-time parameter of nf_conntrack (module_param in nf_conntrack_*.c).
type moduleParameter struct {
	name  string
	least int64
	most  int64 // 1 with least 0: a bool
	doc   string
}

// moduleParameters returns the load-time parameters of Linux 5.10 to 7.2.
func moduleParameters() []moduleParameter {
	return []moduleParameter{
		{sysfs.Hashsize, 1, sysfs.MaxBuckets, "Hash buckets at load. " +
			"The kernel sets max to 8 times as many, until something writes max."},
		{sysfs.ExpectHashsize, 1, math.MaxInt32 / sysfs.ExpectMaxFactor, "Hash buckets of the expectation table; " +
			"the kernel sets expect_max to 4 times as many. Only this sets expect_max reliably from the load on."},
		{"acct", 0, 1, "Count packets and bytes, in network namespaces created from then on."},
		{"tstamp", 0, 1, "Record when connections begin and end, in network namespaces created from then on."},
		{"nf_conntrack_helper", 0, 1, "Assign helpers by port without a rule; kernels up to 5.19."},
		{"enable_hooks", 0, 1, "Track connections in every network namespace, with or without a rule that needs it."},
	}
}

func (p moduleParameter) isBool() bool { return p.least == 0 && p.most == 1 }

// allowed returns the values that p accepts, for messages.
func (p moduleParameter) allowed() string {
	if p.isBool() {
		return "true, false"
	}
	return strconv.FormatInt(p.least, 10) + "–" + strconv.FormatInt(p.most, 10)
}

// parse returns p's value in modprobe.d's notation.
func (p moduleParameter) parse(s scalar) (string, *fault) {
	if p.isBool() {
		on, wrong := parseBool(s)
		return formatBool(on), wrong
	}
	n, wrong := parseNumber(s, p.least, p.most)
	return strconv.FormatInt(n, 10), wrong
}

// module decodes the section module.
func (d *decoder) module(n *yaml.Node) {
	d.section(n, "module", func(k, v *yaml.Node) {
		switch k.Value {
		case "load":
			d.layer.load = read(d, v, keyModuleLoad, parseBool)
		case "parameters":
			d.parameters(v)
		default:
			d.failUnknown(k, "module", []string{"load", "parameters"})
		}
	})
}

func (d *decoder) parameters(n *yaml.Node) {
	known := moduleParameters()
	d.section(n, "module.parameters", func(k, v *yaml.Node) {
		for _, p := range known {
			if p.name == k.Value {
				if got := read(d, v, join("module.parameters", p.name), p.parse); got.set {
					d.layer.parameters[p.name] = parameter{name: p.name, value: got.value, at: got.at}
				}
				return
			}
		}
		d.failUnknownParameter(k, known)
	})
}

func (d *decoder) failUnknownParameter(k *yaml.Node, known []moduleParameter) {
	names := make([]string, len(known))
	for i, p := range known {
		names[i] = p.name
	}
	wrong := newFault("unknown parameter of nf_conntrack", strings.Join(names, ", "))
	d.fail(k, join("module.parameters", quote(k.Value)), wrong)
}

package persist

import (
	"fmt"
	"math"
	"strconv"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// hidden is a parameter that sysfs does not show: its permissions are 0000.
const hidden = "enable_hooks"

// option is one parameter of the options line.
type option struct {
	name, value string
	// origin is the configuration key, with its value where that differs, and its place.
	origin string
}

// AtLoad returns the parameters that NewPlan loads nf_conntrack with on the host in the tree, without their origins.
// Notes name what is left out, and why; parameters with which the module would not load are among it.
func AtLoad(t tree.Tree, cfg *config.Config) (parameters []config.Parameter, notes []string) {
	p := planner{cfg: cfg, host: readHost(t)}
	for _, o := range p.options() {
		parameters = append(parameters, config.Parameter{Name: o.name, Value: o.value})
	}
	for _, err := range p.errs {
		p.note("%v", err)
	}
	return parameters, p.plan.Notes
}

// options returns the parameters to load nf_conntrack with: from module.parameters, else from the
// settings. Parameters that the module does not have or would refuse are left out, with a note or
// an error.
func (p *planner) options() []option {
	explicit := map[string]option{}
	for _, parameter := range p.cfg.Module.Parameters {
		origin := "module.parameters." + parameter.Name + ", " + parameter.Origin.String()
		explicit[parameter.Name] = option{parameter.Name, parameter.Value, origin}
	}
	var out []option
	for _, name := range []string{
		sysfs.Hashsize, sysfs.ExpectHashsize, "acct", "tstamp", "nf_conntrack_helper", hidden,
	} {
		o, isExplicit := explicit[name]
		if !isExplicit {
			o = p.optionFor(name, out)
		}
		switch err := p.host.check(o); {
		case o.name == "":
		case !p.host.hasParameter(name):
			if isExplicit {
				p.noteNoParameter(o)
			}
		case err != nil:
			p.fail(err)
		default:
			out = append(out, o)
		}
	}
	for _, name := range []string{sysfs.Hashsize, sysfs.ExpectHashsize} {
		if n := optionNumber(out, name); p.host.memory == 0 && n > sysfs.DefaultBuckets(p.host.memory) {
			p.note("%s=%d makes a table of %s: this host's memory is unknown, and must be at least %d times as large",
				name, n, config.FormatBytes(sysfs.TableBytes(n)), sysfs.TableShare)
		}
	}
	return out
}

func (p *planner) noteNoParameter(o option) {
	if p.host.parameters == nil || o.name == hidden && len(p.host.types) == 0 {
		p.note("%s left out (%s): cannot find out whether this host's nf_conntrack has it", o.name, o.origin)
		return
	}
	p.note("%s left out (%s): this host's nf_conntrack has no such parameter (%s)", o.name, o.origin, p.host.source)
}

// optionFor returns the parameter that applies a setting at load, given the options before it, or an
// empty option if none is needed.
func (p *planner) optionFor(name string, before []option) option {
	setting := sysfs.SettingOf(name)
	switch name {
	case sysfs.Hashsize:
		setting = sysfs.Hashsize
	case sysfs.ExpectHashsize:
		setting = sysfs.ExpectMax
	}
	want, wanted := p.cfg.Want(setting)
	if !wanted || !appliesAtLoad(want) {
		return option{}
	}
	n, ok := want.Value.Int()
	if !ok {
		return option{}
	}
	byDefault := int64(-1) // the value that the kernel chooses
	text := want.String()
	switch name {
	case sysfs.Hashsize:
		byDefault = sysfs.DefaultBuckets(p.host.memory)
	case sysfs.ExpectHashsize:
		n = (n + sysfs.ExpectMaxFactor - 1) / sysfs.ExpectMaxFactor
		text += " at 4 per bucket"
		byDefault = p.host.defaultExpectBuckets(before)
	}
	if want.Policy == sysfs.AtLeast && n <= byDefault {
		return option{}
	}
	return option{name, strconv.FormatInt(n, 10), "settings." + setting + " " + text + ", " + want.Origin.String()}
}

// appliesAtLoad reports whether a want belongs in the boot files. The embedded default does not: a
// hashsize that is set at load would make max 8 times as large, and at_least accepts that.
func appliesAtLoad(w sysfs.Want) bool {
	return w.Policy != sysfs.AtMost && w.Origin.File != config.DefaultOrigin
}

// defaultExpectBuckets returns the size that the kernel chooses for the expectation table.
func (h host) defaultExpectBuckets(options []option) int64 {
	buckets := sysfs.DefaultBuckets(h.memory)
	if n := optionNumber(options, sysfs.Hashsize); n > 0 {
		buckets = sysfs.RoundHashsize(n)
	}
	return max(1, buckets/sysfs.ExpectShare)
}

// optionNumber returns the value of an option, 0 if it is not set.
func optionNumber(options []option, name string) int64 {
	for _, o := range options {
		if o.name == name {
			n, _ := strconv.ParseInt(o.value, 10, 64)
			return n
		}
	}
	return 0
}

// check returns ErrUnloadable if nf_conntrack would not load with an option.
func (h host) check(o option) error {
	if o.name == "" {
		return nil
	}
	unloadable := func(reason string) error {
		return fmt.Errorf("cannot write %s=%s (%s): %w: %s", o.name, o.value, o.origin, ErrUnloadable, reason)
	}
	if err := checkType(o.value, h.typeOf(o.name)); err != nil {
		return unloadable(err.Error())
	}
	if o.name != sysfs.Hashsize && o.name != sysfs.ExpectHashsize {
		return nil
	}
	// As in nf_ct_alloc_hashtable.
	n, _ := strconv.ParseInt(o.value, 10, 64)
	size := sysfs.TableBytes(n)
	table := "a table of " + config.FormatBytes(size)
	switch {
	case n == 0:
		return unloadable("it must be above 0")
	case size > math.MaxInt32:
		return unloadable(table + " is too large: the kernel allocates less than 2 GiB")
	case h.memory > 0 && size > h.memory/sysfs.TableShare:
		return unloadable(table + " is over 1/4 of the " + config.FormatBytes(h.memory) + " of RAM")
	}
	return nil
}

// typeOf returns the type of a parameter in the kernel: from the module file, or else a known one.
func (h host) typeOf(name string) string {
	if kind := h.types[name]; kind != "" {
		return kind
	}
	if name == sysfs.Hashsize || name == sysfs.ExpectHashsize {
		return "uint"
	}
	return "bool"
}

// checkType returns an error if the kernel refuses a value for a parameter of a type
// (STANDARD_PARAM_DEF and param_set_bool of kernel/params.c). It accepts any value for the types that
// no parameter of nf_conntrack ever had.
func checkType(value, kind string) error {
	switch kind {
	case "uint":
		if _, err := strconv.ParseUint(value, 10, 32); err != nil {
			return fmt.Errorf("%q is not a number up to %d", value, uint32(math.MaxUint32))
		}
	case "int":
		if _, err := strconv.ParseInt(value, 10, 32); err != nil {
			return fmt.Errorf("%q is not a number up to %d", value, math.MaxInt32)
		}
	case "bool":
		if value != "0" && value != "1" {
			return fmt.Errorf("%q is neither 0 nor 1", value)
		}
	}
	return nil
}

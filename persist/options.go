package persist

import (
	"fmt"
	"math"
	"strconv"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

const (
	hashsize       = "hashsize"
	expectHashsize = "expect_hashsize"
	// hidden is a parameter that sysfs does not show: its permissions are 0000.
	hidden = "enable_hooks"

	// expectFactor is how many expectations the kernel allows a bucket at load
	// (nf_conntrack_expect_init).
	expectFactor = 4
	// maxFactor is the same for connections, where hashsize= is given
	// (nf_conntrack_init_start).
	maxFactor = 8
	// ownExpectShare is the buckets of the connection table for one of the
	// expectation table, where nobody says how many.
	ownExpectShare = 256

	bucketBytes = 8 // one pointer, a struct hlist_head
	// tableShare is the part of RAM that a hash table may take, 1/4, as in the
	// configuration. The kernel refuses more pages than there are (vmalloc), and
	// cannot find most of them free.
	tableShare = 4
)

// option is one parameter of the options line.
type option struct {
	name, value string
	// from is the key of the configuration, and where it stands.
	from string
}

// options are what nf_conntrack is to be loaded with: what module.parameters asks
// for, else what the settings come to. What it must not or cannot get is left out,
// and said.
func (p *planner) options() []option {
	asked := map[string]option{}
	for _, parameter := range p.cfg.Module.Parameters {
		asked[parameter.Name] = option{parameter.Name, parameter.Value, "module.parameters." + parameter.Name + ", " + parameter.Origin}
	}
	var out []option
	for _, name := range []string{hashsize, expectHashsize, "acct", "tstamp", "nf_conntrack_helper", hidden} {
		o, explicit := asked[name]
		if !explicit {
			o = p.derived(name, out)
		}
		switch err := p.host.check(o); {
		case o.name == "":
		case !p.host.takes(name):
			if explicit {
				p.noSuchParameter(o)
			}
		case err != nil:
			p.fail(err)
		default:
			out = append(out, o)
		}
	}
	for _, name := range []string{hashsize, expectHashsize} {
		if n := number(out, name); p.host.memory == 0 && n > p.host.ownBuckets() {
			p.note("%s=%d is a table of %s: this host's memory is not known, and has to be at least %d times as large",
				name, n, config.FormatBytes(sysfs.RoundHashsize(n)*bucketBytes), tableShare)
		}
	}
	return out
}

func (p *planner) noSuchParameter(o option) {
	if p.host.parameters == nil || o.name == hidden && len(p.host.types) == 0 {
		p.note("%s is left out (%s): it cannot be told whether this host's nf_conntrack has it", o.name, o.from)
		return
	}
	p.note("%s is left out (%s): this host's nf_conntrack has no such parameter (%s)", o.name, o.from, p.host.from)
}

// derived is the option that a setting comes to, given those before it. An empty one
// where there is none.
func (p *planner) derived(name string, before []option) option {
	setting := map[string]string{
		hashsize: sysfs.Hashsize, expectHashsize: "expect_max", "acct": "acct", "tstamp": "timestamp", "nf_conntrack_helper": "helper",
	}[name]
	want, wanted := p.cfg.Want(setting)
	if !wanted || !asksAtLoad(want) {
		return option{}
	}
	n, err := strconv.ParseInt(want.Value, 10, 64)
	if err != nil {
		return option{}
	}
	own := int64(-1) // what the kernel has without being told
	asked := want.String()
	switch name {
	case hashsize:
		own = p.host.ownBuckets()
	case expectHashsize:
		n = (n + expectFactor - 1) / expectFactor
		asked += ", 4 to a bucket"
		own = p.host.ownExpectBuckets(before)
	}
	if want.Policy == sysfs.AtLeast && n <= own {
		return option{}
	}
	return option{name, strconv.FormatInt(n, 10), "settings." + setting + " " + asked + ", " + want.Origin}
}

// asksAtLoad reports whether a want is one for the files. What nobody asked for, the
// embedded default, waits for the daemon: a hashsize given at load would make max 8 times
// as large, and at_least is content with that.
func asksAtLoad(w sysfs.Want) bool {
	return w.Policy != sysfs.AtMost && w.Origin != config.DefaultOrigin
}

// ownExpectBuckets is how large the kernel makes the expectation table by itself.
func (h host) ownExpectBuckets(options []option) int64 {
	buckets := h.ownBuckets()
	if n := number(options, hashsize); n > 0 {
		buckets = sysfs.RoundHashsize(n)
	}
	return max(1, buckets/ownExpectShare)
}

// number is the value of an option, 0 where it is not there.
func number(options []option, name string) int64 {
	for _, o := range options {
		if o.name == name {
			n, _ := strconv.ParseInt(o.value, 10, 64)
			return n
		}
	}
	return 0
}

// check holds an option against what the kernel takes at load. The error is
// ErrUnloadable.
func (h host) check(o option) error {
	if o.name == "" {
		return nil
	}
	refused := func(why string) error {
		return fmt.Errorf("cannot write %s=%s (%s): %w: %s", o.name, o.value, o.from, ErrUnloadable, why)
	}
	if err := parses(o.value, h.kind(o.name)); err != nil {
		return refused(err.Error())
	}
	if o.name != hashsize && o.name != expectHashsize {
		return nil
	}
	// As nf_ct_alloc_hashtable does it.
	n, _ := strconv.ParseInt(o.value, 10, 64)
	size := sysfs.RoundHashsize(n) * bucketBytes
	switch {
	case n == 0:
		return refused("it has to be above 0")
	case size > math.MaxInt32:
		return refused("a table of " + config.FormatBytes(size) + " is too large: the kernel allocates less than 2 GiB")
	case h.memory > 0 && size > h.memory/tableShare:
		return refused("a table of " + config.FormatBytes(size) + " is over 1/4 of the " + config.FormatBytes(h.memory) + " of RAM")
	}
	return nil
}

// kind is a parameter's type in the kernel, by its module's file where that tells.
func (h host) kind(name string) string {
	if kind := h.types[name]; kind != "" {
		return kind
	}
	if name == hashsize || name == expectHashsize {
		return "uint"
	}
	return "bool"
}

// parses reports what is wrong with a value of a type (STANDARD_PARAM_DEF and
// param_set_bool of kernel/params.c). Types that nf_conntrack never had are taken.
func parses(value, kind string) error {
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

// readsBack tries a modprobe.d file for syntax: what modprobe(8) would make of it has
// to be what was meant.
func readsBack(text string, options []option) error {
	directives, troubles := kmod.ParseModprobe(ModprobePath, []byte(text))
	for _, trouble := range troubles {
		return trouble
	}
	got := kmod.Modprobe{Directives: directives}.Options(kmod.Conntrack)
	if len(got) != len(options) || len(directives) != 1 {
		return fmt.Errorf("it reads back as %d options in %d lines, not as %d in 1", len(got), len(directives), len(options))
	}
	for i, o := range options {
		if got[i].Name != o.name || got[i].Value != o.value {
			return fmt.Errorf("%s=%s reads back as %s=%s", o.name, o.value, got[i].Name, got[i].Value)
		}
	}
	return nil
}

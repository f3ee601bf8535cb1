package config

import (
	"cmp"
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// defaults is the configuration where there is no file at all.
//
//go:embed default.yaml
var defaults []byte

// config merges and validates what was loaded. The error is Errors.
func (l *loader) config() (*Config, error) {
	layers := l.layers
	if !l.found {
		embedded, _, errs := decode(DefaultOrigin, DefaultOrigin, defaults)
		layers, l.errs = append(layers, embedded), append(l.errs, errs...)
	}
	all := merge(layers)
	if !l.found {
		forgetLines(all.wants)
	}
	r := resolver{ram: readMemory(l.tree), layer: all}
	c := r.config()
	if errs := slices.Concat(l.errs, r.errs); len(errs) > 0 {
		return nil, errs
	}
	c.Files, c.Hidden = l.files, l.hidden
	c.Warnings = slices.Concat(l.warnings, r.warnings)
	if len(c.Wants) == 0 {
		c.Warnings = append(c.Warnings, "no settings are configured: there is nothing to keep")
	}
	return c, nil
}

// forgetLines leaves the name alone as the origin of the embedded values: there
// is no file to open.
func forgetLines(wants map[string]want) {
	for name, w := range wants {
		w.at.line, w.at.column = 0, 0
		wants[name] = w
	}
}

// resolver turns the merged layer into a Config.
type resolver struct {
	ram      memory
	layer    layer
	errs     Errors
	warnings []string
}

func (r *resolver) config() *Config {
	r.size(nameMax, r.ram.autoMax)
	r.size(nameHashsize, func() int64 { return r.ram.autoHashsize(r.limit()) })
	r.checkTables()
	r.checkFragments()
	r.compareParameters()
	r.checkMetrics()
	r.checkGuard()
	c := &Config{Origins: map[string]tree.Place{}}
	for _, w := range r.layer.wants {
		c.Wants = append(c.Wants, w.sysfs())
	}
	sortWants(c.Wants)
	for _, name := range slices.Sorted(maps.Keys(r.layer.parameters)) {
		p := r.layer.parameters[name]
		c.Module.Parameters = append(c.Module.Parameters, Parameter{Name: p.name, Value: p.value, Origin: p.at.origin()})
	}
	c.Module.Load = settle(c, keyModuleLoad, r.layer.load, false)
	c.Mode = settle(c, keyMode, r.layer.mode, reconcile.Enforce)
	c.Resync = settle(c, keyResync, r.layer.resync, DefaultResync)
	c.Guard.Mode = settle(c, keyGuardMode, r.layer.guardMode, GuardOff)
	c.Guard.Allow = settle(c, keyGuardAllow, r.layer.guardAllow, nil)
	c.Metrics.Listen = settle(c, keyMetricsListen, r.layer.listen, "")
	c.Metrics.WebConfig = settle(c, keyMetricsWebConfig, r.layer.webConfig, "")
	c.Metrics.Textfile = settle(c, keyMetricsTextfile, r.layer.textfile, "")
	return c
}

// settle takes the value that a file gives, or the default, and notes where it
// comes from.
func settle[T any](c *Config, key string, g given[T], otherwise T) T {
	if !g.set {
		c.Origins[key] = tree.Place{File: DefaultOrigin}
		return otherwise
	}
	c.Origins[key] = g.at.origin()
	return g.value
}

func (w want) sysfs() sysfs.Want {
	return sysfs.Want{Setting: w.setting, Policy: w.policy, Value: w.value, Origin: w.at.origin(), Auto: w.auto}
}

func (w want) number() int64 {
	n, _ := w.value.Int()
	return n
}

// sortWants sorts in catalogue order, then what the catalogue does not know by
// name.
func sortWants(wants []sysfs.Want) {
	place := map[string]int{}
	for i, s := range sysfs.Catalogue() {
		place[s.Name] = i - len(sysfs.Catalogue()) // below the 0 of the unknown
	}
	slices.SortFunc(wants, func(a, b sysfs.Want) int {
		return cmp.Or(cmp.Compare(place[a.Setting.Name], place[b.Setting.Name]), cmp.Compare(a.Setting.Name, b.Setting.Name))
	})
}

// size gives an auto setting its number.
func (r *resolver) size(name string, number func() int64) {
	w, wanted := r.layer.wants[name]
	switch {
	case !wanted || !w.auto:
		return
	case r.ram.err != nil:
		r.fail(w.at, w.key, &fault{problem: "cannot be sized: " + r.ram.err.Error(), allowed: "a number", err: r.ram.err})
		return
	}
	w.value = sysfs.Number(number())
	r.layer.wants[name] = w
}

// limit is the max that hashsize: auto follows; 0 where none is asked for.
func (r *resolver) limit() int64 { return r.layer.wants[nameMax].number() }

func (r *resolver) fail(p position, key string, wrong *fault) {
	r.errs = append(r.errs, wrong.at(p, key))
}

// checkTables refuses hash tables that take over 1/4 of RAM. Where RAM is not
// known the kernel has the last word.
func (r *resolver) checkTables() {
	if r.ram.err != nil {
		return
	}
	if w, wanted := r.layer.wants[nameHashsize]; wanted && !w.auto {
		r.checkTable(w.at, w.key, w.number())
	}
	for _, name := range []string{"expect_hashsize", nameHashsize} {
		if p, asked := r.layer.parameters[name]; asked {
			n, _ := strconv.ParseInt(p.value, 10, 64)
			r.checkTable(p.at, join("module.parameters", name), n)
		}
	}
}

func (r *resolver) checkTable(at position, key string, buckets int64) {
	buckets = sysfs.RoundHashsize(buckets)
	if most := r.ram.mostBuckets(); buckets > most {
		r.fail(at, key, &fault{
			problem: fmt.Sprintf("a table of %s would take over 1/4 of the %s of RAM", FormatBytes(buckets*sysfs.BucketBytes), FormatBytes(r.ram.total)),
			allowed: fmt.Sprintf("up to %d", most-most%sysfs.RoundHashsize(1)),
		})
	}
}

// checkFragments refuses thresholds that no value can satisfy: the kernel keeps
// frag6_low_thresh at or below frag6_high_thresh.
func (r *resolver) checkFragments() {
	low, ok1 := r.layer.wants["frag6_low_thresh"]
	high, ok2 := r.layer.wants["frag6_high_thresh"]
	if !ok1 || !ok2 || low.policy == sysfs.AtMost || high.policy == sysfs.AtLeast || low.number() <= high.number() {
		return
	}
	r.fail(low.at, low.key, &fault{
		problem: fmt.Sprintf("%s is above frag6_high_thresh %s of %s", low.value, high.value, high.at.origin()),
		allowed: "at most " + high.value.String(),
	})
}

// compareParameters warns where the module is to come up with another hash size
// than it is to have: right, and one resize more than needed at every load.
func (r *resolver) compareParameters() {
	w, ok1 := r.layer.wants[nameHashsize]
	p, ok2 := r.layer.parameters[nameHashsize]
	if ok1 && ok2 && w.value.Known() && !w.sysfs().Satisfied(w.setting.Parse(p.value)) {
		r.warnings = append(r.warnings, fmt.Sprintf("%s: module.parameters.hashsize %s is not settings.hashsize %s of %s: every load is followed by a resize",
			p.at.origin(), p.value, w.sysfs(), w.at.origin()))
	}
}

package config

import (
	"cmp"
	_ "embed"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/ctkeeper/ctkeeper/host/meminfo"
	"github.com/ctkeeper/ctkeeper/host/printable"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// maxWants limits the settings in number, those that are not in the catalogue included. Linux 7.2 has
// less than 60.
const maxWants = 256

// defaults is the configuration that applies where no file has settings.
//
//go:embed default.yaml
var defaults []byte

// config merges and validates what was loaded. The error is Errors.
func (l *loader) config() (*Config, error) {
	var r resolver
	r.ram, r.ramErr = meminfo.Total(l.tree)
	r.layer = merge(l.layers)
	switch {
	case l.replaced:
	case r.ramErr != nil: // an image; a running system has /proc/meminfo
		l.warnings = append(l.warnings, "the embedded default is left out: "+r.ramErr.Error())
	default:
		r.layer.wants = decode(DefaultOrigin, DefaultOrigin, defaults).layer.wants
		r.clearLines()
	}
	c := r.config()
	errs := slices.Concat(l.errs, r.errs)
	if l.omitted > 0 {
		errs = append(errs, Error{Problem: fmt.Sprintf("%d more errors in other files", l.omitted)})
	}
	if len(errs) > 0 {
		return nil, errs
	}
	c.Files, c.Hash, c.Hidden, c.UsesDefault = l.files, l.hash(), l.hidden, !l.replaced
	for _, text := range slices.Concat(l.warnings, r.warnings) {
		c.Warnings = append(c.Warnings, printable.Line(text))
	}
	if more := len(c.Warnings) - maxWarnings; more > 0 {
		c.Warnings = append(c.Warnings[:maxWarnings], fmt.Sprintf("%d more warnings", more))
	}
	if len(c.Wants) == 0 {
		c.Warnings = append(c.Warnings, "no settings are configured")
	}
	return c, nil
}

// resolver turns the merged layer into a Config.
type resolver struct {
	layer    layer
	ram      int64 // in bytes
	ramErr   error // why ram is not known
	errs     Errors
	warnings []string
}

// clearLines removes the lines from the origins of the embedded default: there is no file to
// open.
func (r *resolver) clearLines() {
	for name, w := range r.layer.wants {
		w.at.line, w.at.column = 0, 0
		r.layer.wants[name] = w
	}
}

func (r *resolver) config() *Config {
	r.computeAuto(sysfs.Max, func() int64 { return maxFor(r.ram) })
	r.computeAuto(sysfs.Hashsize, func() int64 { return hashsizeFor(r.ram, r.layer.wants[sysfs.Max].number()) })
	r.checkCount()
	r.checkTables()
	r.checkFragments()
	r.checkParameters()
	r.checkGuard()
	c := &Config{Origins: map[string]tree.Place{}}
	for _, w := range r.layer.wants {
		c.Wants = append(c.Wants, w.sysfs())
	}
	sortWants(c.Wants)
	for _, name := range slices.Sorted(maps.Keys(r.layer.parameters)) {
		p := r.layer.parameters[name]
		c.Module.Parameters = append(c.Module.Parameters, Parameter{p.name, p.value, p.at.origin()})
	}
	c.Module.Load = resolve(c, keyModuleLoad, r.layer.load, false)
	c.Mode = resolve(c, keyMode, r.layer.mode, reconcile.Enforce)
	c.Resync = resolve(c, keyResync, r.layer.resync, DefaultResync)
	if c.GuardedResync = c.Resync; c.Resync == DefaultResync {
		c.GuardedResync = guardedResync
	}
	c.Guard.Mode = resolve(c, keyGuardMode, r.layer.guardMode, GuardOff)
	c.Guard.Allow = resolve(c, keyGuardAllow, r.layer.guardAllow, nil)
	return c
}

// resolve returns the value that a file sets, or the default, and records its origin in c.
func resolve[T any](c *Config, key string, o optional[T], byDefault T) T {
	if !o.set {
		c.Origins[key] = tree.Place{File: DefaultOrigin}
		return byDefault
	}
	c.Origins[key] = o.at.origin()
	return o.value
}

func (w want) sysfs() sysfs.Want {
	return sysfs.Want{Setting: w.setting, Policy: w.policy, Value: w.value, Origin: w.at.origin(), Auto: w.auto}
}

// number returns the wanted number, or 0 if the setting is not wanted.
func (w want) number() int64 {
	n, _ := w.value.Int()
	return n
}

// sortWants sorts by catalogue order; settings that are not in the catalogue follow by name.
func sortWants(wants []sysfs.Want) {
	index := map[string]int{}
	for i, s := range sysfs.Catalogue() {
		index[s.Name] = i - len(sysfs.Catalogue()) // below the 0 of the others
	}
	slices.SortFunc(wants, func(a, b sysfs.Want) int {
		a0, b0 := a.Setting.Name, b.Setting.Name
		return cmp.Or(cmp.Compare(index[a0], index[b0]), cmp.Compare(a0, b0))
	})
}

// computeAuto sets the number of a setting that is "auto".
func (r *resolver) computeAuto(name string, compute func() int64) {
	w := r.layer.wants[name]
	switch {
	case !w.auto:
		return
	case r.ramErr != nil:
		r.fail(w.at, w.key, &fault{problem: "cannot be sized: " + r.ramErr.Error(), allowed: "a number", err: r.ramErr})
		return
	}
	w.value = sysfs.Number(compute())
	r.layer.wants[name] = w
}

func (r *resolver) fail(p position, key string, wrong *fault) {
	r.errs = append(r.errs, wrong.at(p, key))
}

func (r *resolver) warn(p position, text string) {
	r.warnings = append(r.warnings, p.origin().String()+": "+text)
}

// checkCount refuses more settings than any kernel has: each is a file that every pass reads.
func (r *resolver) checkCount() {
	if n := len(r.layer.wants); n > maxWants {
		r.fail(position{}, "settings", newFault(fmt.Sprintf("has %d settings", n), fmt.Sprintf("up to %d", maxWants)))
	}
}

// checkTables refuses hash tables that take more than 1/4 of RAM, or more than the kernel
// allows.
func (r *resolver) checkTables() {
	w := r.layer.wants[sysfs.Hashsize]
	r.checkTable(w.at, w.key, w.number())
	for _, name := range []string{sysfs.ExpectHashsize, sysfs.Hashsize} {
		p := r.layer.parameters[name]
		n, _ := strconv.ParseInt(p.value, 10, 64)
		r.checkTable(p.at, join("module.parameters", name), n)
	}
}

func (r *resolver) checkTable(at position, key string, buckets int64) {
	ram := r.ram
	if r.ramErr != nil {
		ram = math.MaxInt64
	}
	most, rounded := sysfs.MostBuckets(ram), sysfs.RoundHashsize(buckets)
	if rounded <= most {
		return
	}
	problem := fmt.Sprintf("a table of %s would take over 1/4 of the %s of RAM",
		FormatBytes(sysfs.TableBytes(buckets)), FormatBytes(ram))
	if rounded > sysfs.MaxBuckets {
		problem = fmt.Sprintf("the kernel allocates no table of %d buckets", rounded)
	}
	r.fail(at, key, newFault(problem, fmt.Sprintf("up to %d", most)))
}

// checkFragments refuses thresholds that no value can satisfy: the kernel keeps
// frag6_low_thresh at or below frag6_high_thresh.
func (r *resolver) checkFragments() {
	low, ok1 := r.layer.wants["frag6_low_thresh"]
	high, ok2 := r.layer.wants["frag6_high_thresh"]
	if !ok1 || !ok2 || low.policy == sysfs.AtMost || high.policy == sysfs.AtLeast || low.number() <= high.number() {
		return
	}
	problem := fmt.Sprintf("%s is above frag6_high_thresh %s of %s", low.value, high.value, high.at.origin())
	r.fail(low.at, low.key, newFault(problem, "at most "+high.value.String()))
}

// checkParameters warns where the module loads with another hash size than is wanted: that works,
// with one unneeded resize after every load.
func (r *resolver) checkParameters() {
	w := r.layer.wants[sysfs.Hashsize]
	p, ok := r.layer.parameters[sysfs.Hashsize]
	if ok && w.value.Known() && !w.sysfs().Satisfied(w.setting.Parse(p.value)) {
		r.warn(p.at, fmt.Sprintf(
			"module.parameters.hashsize %s is not settings.hashsize %s of %s: every load is followed by a resize",
			p.value, w.sysfs(), w.at.origin()))
	}
}

package importer

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/printable"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// maxFile limits the size of the files that are read here, in bytes.
const maxFile = 1 << 20

// moduleLoad is the key of config.Config.Origins.
const moduleLoad = "module.load"

// impliedBy has the settings that the kernel derives from a load-time parameter, times a factor
// (nf_conntrack_init_start, nf_conntrack_expect_init).
var impliedBy = map[string]struct {
	parameter string
	factor    int64
}{
	"max":        {sysfs.Hashsize, sysfs.LoadMaxFactor},
	"expect_max": {sysfs.ExpectHashsize, sysfs.ExpectMaxFactor},
}

// addSettings adds the run-time settings in the order of the catalogue, then those that are not in
// it, by name.
func (b *builder) addSettings() {
	var unknown []string
	for _, a := range b.from.Assignments {
		if !a.Parameter && !slices.Contains(unknown, a.Name) && strings.Contains(a.Name, ".") {
			unknown = append(unknown, a.Name)
		}
	}
	slices.Sort(unknown)
	names := make([]string, 0, len(sysfs.Catalogue()))
	for _, s := range sysfs.Catalogue() {
		names = append(names, s.Name)
	}
	for _, name := range append(names, unknown...) {
		b.addSetting(name)
	}
}

func (b *builder) addSetting(name string) {
	live := b.live[name]
	o := b.from.Outcome(name, live)
	if o.Found && o.Parameter && name != sysfs.Hashsize {
		o.Found = false // addParameter imports it
	}
	a, found := o.Assignment, o.Found
	if !found && len(o.Doubts) == 0 {
		a, found = b.implied(name)
	}
	if s := sysfs.Lookup(name); found && b.container != "" && s.Global {
		b.note("%s left out: this is a container (%s), and its host sets it; from %s", name, b.container, b.originOf(a))
		return
	}
	has, configured := b.config.Want(name)
	configured = configured && has.Origin.File != config.DefaultOrigin
	switch {
	case !found && len(o.Doubts) == 0, found && a.FromPersist && !configured:
		return
	case configured:
		b.covered["settings."+name] = true
		if found && !a.FromPersist {
			b.note("%s left out: %s sets %s already", name, has.Origin, has)
		}
		return
	case len(o.Doubts) > 0:
		b.addUndecided("settings", name, o)
		return
	}
	b.covered["settings."+name] = true
	a.Name = name
	want := a.Want()
	comment := b.originOf(a)
	if live != "" && !want.Satisfied(want.Setting.Parse(live)) {
		comment += "; live " + printable.Line(live)
	}
	b.items = append(b.items, item{section: "settings", key: name, name: name, value: policy(want), comment: comment})
}

// addUndecided adds a comment instead of a value: what could decide it, and the live value.
func (b *builder) addUndecided(section, name string, o inventory.Outcome) {
	var candidates []string
	if o.Found {
		candidates = append(candidates, fmt.Sprintf("%s of %s (%s)", o.Value, o.Place, o.Tool))
	}
	for _, d := range o.Doubts {
		text := fmt.Sprintf("%s of %s (%s)", d.Value, d.Place, d.Why)
		candidates = append(candidates, strings.TrimPrefix(text, " of "))
	}
	if live := b.live[name]; live != "" && section == "settings" {
		candidates = append(candidates, "live "+live)
	}
	for i, text := range candidates {
		candidates[i] = printable.Line(text)
	}
	b.items = append(b.items, item{
		section: section, key: name, name: name, undecided: true, comment: strings.Join(candidates, "; "),
	})
	b.note("%s not decided: %s", name, strings.Join(candidates, "; "))
}

// addInvalid adds a comment for each line whose value the kernel refuses or ignores.
func (b *builder) addInvalid() {
	for _, a := range b.from.Assignments {
		if !a.Invalid || a.FromPersist {
			continue
		}
		i := item{
			key: plain(a.Name), value: plain(a.Value), refused: printable.Line(a.NoEffect),
			comment: printable.Line(fmt.Sprintf("%s (%s)", a.Place, a.Tool)),
		}
		if a.Meant != "" {
			i.comment += ": " + printable.Line(a.Key+"="+a.Meant) + " is probably meant"
		}
		b.items = append(b.items, i)
		b.note("%s %s left out: %s; from %s", i.key, i.value, i.refused, i.comment)
	}
}

// implied returns the value that the kernel derives from a load-time parameter for a setting that no
// file sets, if it is the live value.
func (b *builder) implied(name string) (inventory.Assignment, bool) {
	by, known := impliedBy[name]
	if !known {
		return inventory.Assignment{}, false
	}
	a, found := b.from.Effective(by.parameter)
	n, err := strconv.ParseInt(a.Value, 0, 32)
	if !found || !a.Parameter || err != nil {
		return a, false
	}
	if by.parameter == sysfs.Hashsize {
		n = sysfs.RoundHashsize(n)
	}
	want := by.factor * n
	if b.live[name] != strconv.FormatInt(want, 10) {
		return a, false
	}
	a.Name, a.Value, a.Key = name, strconv.FormatInt(want, 10), by.parameter+"="+a.Value
	return a, true
}

// addModule adds module.load and the load-time parameters.
func (b *builder) addModule() {
	foreign := slices.IndexFunc(b.from.EarlyLoads, func(at tree.Place) bool { return !b.isFromPersist(at) })
	switch origin := b.config.Origins[moduleLoad]; {
	case foreign < 0:
	case origin.File != "" && origin.File != config.DefaultOrigin:
		b.note("module.load left out: %s sets %t already", origin, b.config.Module.Load)
	default:
		place := printable.Line(b.from.EarlyLoads[foreign].String())
		b.items = append(b.items, item{section: "module", key: "load", name: "load", value: "true", comment: place})
	}
	var names []string
	for _, a := range b.from.Assignments {
		isImported := a.Parameter && a.NoEffect == "" && !a.FromPersist && a.Name != sysfs.Hashsize
		if isImported && !slices.Contains(names, a.Name) {
			names = append(names, a.Name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		b.addParameter(name)
	}
}

func (b *builder) addParameter(name string) {
	o := b.from.Outcome(name, "")
	a := o.Assignment
	if !o.Found || !a.Parameter {
		return
	}
	b.covered["module.parameters."+name] = o.IsDecided()
	for _, p := range b.config.Module.Parameters {
		if p.Name == name {
			b.note("module.parameters.%s left out: %s sets %s already", name, p.Origin, p.Value)
			return
		}
	}
	if !o.IsDecided() {
		b.addUndecided("module.parameters", name, o)
		return
	}
	b.items = append(b.items, item{
		section: "module.parameters", key: plain(name), name: name, value: plain(a.Value), comment: b.originOf(a),
	})
}

// isFromPersist reports whether persist wrote the file of a line.
func (b *builder) isFromPersist(at tree.Place) bool {
	return slices.Contains(b.from.PersistFiles, at.File)
}

// originOf returns where a value comes from, and the values that it overrides.
func (b *builder) originOf(a inventory.Assignment) string {
	text := fmt.Sprintf("%s (%s)", printable.Line(a.Place.String()), a.Tool)
	if by, known := impliedBy[a.Name]; known && a.Parameter {
		return fmt.Sprintf("%s: %s makes it %d times as many at load", text, printable.Line(a.Key), by.factor)
	}
	var overridden []string
	for _, other := range b.from.Assignments {
		value := printable.Line(fmt.Sprintf("%s of %s", other.Value, other.Place))
		isOverridden := other.Name == a.Name && other.OverriddenBy != (tree.Place{}) && other.Place != a.Place
		if isOverridden && !slices.Contains(overridden, value) {
			overridden = append(overridden, value)
		}
	}
	if len(overridden) > 0 {
		text += "; overrides " + strings.Join(overridden, ", ")
	}
	return text
}

// obsolete returns the lines whose every value ctkeeper sets now, in files that people write. Lines
// that do more than set values are left out.
func (b *builder) obsolete() []tree.Place {
	var places []tree.Place
	for _, a := range b.from.Assignments {
		known := slices.Contains(places, a.Place) || slices.Contains(b.from.EarlyLoads, a.Place)
		if a.Line > 0 && !known && b.isDeletable(a) && b.isCovered(a.Place) && !b.isTakenOver(a) {
			places = append(places, a.Place)
		}
	}
	places = append(places, b.loadLines()...)
	slices.SortFunc(places, func(x, y tree.Place) int {
		return cmp.Or(strings.Compare(x.File, y.File), x.Line-y.Line)
	})
	return places
}

// loadLines returns the lines of modules-load.d that module.load replaces: those that name
// nf_conntrack itself, not a module that needs it.
func (b *builder) loadLines() []tree.Place {
	isLoad := func(i item) bool { return i.section == "module" && i.key == "load" }
	if !b.config.Module.Load && !slices.ContainsFunc(b.accepted(), isLoad) {
		return nil
	}
	var places []tree.Place
	for _, at := range b.from.EarlyLoads {
		if b.isFromPersist(at) || !strings.HasPrefix(at.File, "/etc/modules-load.d/") {
			continue
		}
		text, err := b.tree.Read(at.File, maxFile)
		lines := strings.Split(string(text), "\n")
		if err != nil || at.Line > len(lines) {
			continue
		}
		if kmod.NormalizeName(strings.TrimSpace(lines[at.Line-1])) == kmod.Conntrack {
			places = append(places, at)
		}
	}
	return places
}

// isTakenOver reports whether something that nobody can delete sets another value than a line: then the
// line is what the administrator wants, and the import has the other value.
func (b *builder) isTakenOver(a inventory.Assignment) bool {
	o := b.from.Outcome(a.Name, b.live[a.Name])
	return o.Found && o.Place != a.Place && o.Value != a.Value && !b.isDeletable(o.Assignment)
}

// isDeletable reports whether a line only assigns values, and is in a file of the administrator. A link
// out of /etc leads to a file that a package or a generator writes: NixOS' files are in /nix/store.
func (b *builder) isDeletable(a inventory.Assignment) bool {
	target, _, err := b.tree.Resolve(a.File)
	switch {
	case a.FromPersist || err != nil || !strings.HasPrefix(target, "/etc/") || !strings.HasPrefix(a.File, "/etc/"):
		return false
	case a.Tool == "modprobe":
		return a.Parameter // not an install command
	}
	return slices.Contains([]string{"systemd-sysctl", "sysctl", "ufw", "tuned", "rc.local", "sysconfig"}, a.Tool)
}

// isCovered reports whether ctkeeper sets everything that a line sets.
func (b *builder) isCovered(at tree.Place) bool {
	for _, a := range b.from.Assignments {
		covered := b.covered["settings."+a.Name]
		if a.Parameter {
			covered = b.covered["module.parameters."+a.Name] || covered && a.Name == sysfs.Hashsize
		}
		if a.Place == at && !covered {
			return false
		}
	}
	return true
}

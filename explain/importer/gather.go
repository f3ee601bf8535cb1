package importer

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// maxLines is more than any file of modules-load.d is long.
const maxLines = 1 << 20

// moduleLoad is the key of config.Config.Origins.
const moduleLoad = "module.load"

// brought says which load-time parameter brings a setting with it, and how many
// times its value (nf_conntrack_init_start, nf_conntrack_expect_init).
var brought = map[string]struct {
	parameter string
	times     int64
}{
	"max":        {sysfs.Hashsize, 8},
	"expect_max": {"expect_hashsize", 4},
}

// settings gathers the run-time settings, in catalogue order, then what the
// catalogue does not know by name.
func (b *builder) settings() {
	b.gone = map[string]bool{}
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
		b.setting(name)
	}
}

func (b *builder) setting(name string) {
	a, found := b.from.Effective(name)
	if found && a.Parameter && name != sysfs.Hashsize {
		found = false // it is taken as a parameter
	}
	if !found {
		a, found = b.implied(name)
	}
	has, given := b.had.Want(name)
	given = given && has.Origin != config.DefaultOrigin
	if !found || a.FromPersist && !given {
		return
	}
	b.gone["settings."+name] = true
	if given {
		if !a.FromPersist {
			b.note("%s is left out: %s gives %s already", name, has.Origin, has)
		}
		return
	}
	want := sysfs.Want{Setting: sysfs.Lookup(name), Policy: sysfs.Exactly, Value: number(a.Value)}
	switch ordered := want.Setting.Kind != sysfs.Bool && want.Setting.Kind != sysfs.Text; {
	case ordered && a.AtLeast:
		want.Policy = sysfs.AtLeast
	case ordered && a.AtMost:
		want.Policy = sysfs.AtMost
	}
	b.items = append(b.items, item{section: "settings", key: name, name: name, value: policy(want), comment: b.origin(a) + b.now(want)})
}

// implied is what a load-time parameter makes of a setting that nothing sets, if
// that is what the kernel has.
func (b *builder) implied(name string) (inventory.Assignment, bool) {
	by, known := brought[name]
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
	want := strconv.FormatInt(by.times*n, 10)
	files := sysfs.NewReader(b.tree.Root())
	defer func() { _ = files.Close() }() // they were only read
	if now, err := files.Read(sysfs.Lookup(name)); err != nil || now != want {
		return a, false
	}
	a.Name, a.Value, a.Key = name, want, by.parameter+"="+a.Value
	return a, true
}

// module gathers module.load and the load-time parameters.
func (b *builder) module() {
	loads := slices.IndexFunc(b.from.EarlyLoads, func(at tree.Place) bool { return !b.ours(at) })
	switch given := b.had.Origins[moduleLoad]; {
	case loads < 0:
	case given != "" && given != config.DefaultOrigin:
		b.note("module.load is left out: %s gives %t already", given, b.had.Module.Load)
	default:
		b.items = append(b.items, item{section: "module", key: "load", name: "load", value: "true", comment: printable(b.from.EarlyLoads[loads].String())})
	}
	var names []string
	for _, a := range b.from.Assignments {
		if a.Parameter && a.NoEffect == "" && !a.FromPersist && a.Name != sysfs.Hashsize && !slices.Contains(names, a.Name) {
			names = append(names, a.Name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		b.parameter(name)
	}
}

func (b *builder) parameter(name string) {
	a, found := b.from.Effective(name)
	if !found || !a.Parameter {
		return
	}
	b.gone["module.parameters."+name] = true
	for _, p := range b.had.Module.Parameters {
		if p.Name == name {
			b.note("module.parameters.%s is left out: %s gives %s already", name, p.Origin, p.Value)
			return
		}
	}
	value := number(a.Value)
	if name != "expect_hashsize" {
		value = truth(value)
	}
	b.items = append(b.items, item{section: "module.parameters", key: plainKey(name), name: name, value: plainKey(value), comment: b.origin(a)})
}

// ours reports whether persist wrote the file of a line.
func (b *builder) ours(at tree.Place) bool {
	return slices.Contains(b.from.PersistFiles, at.File)
}

// origin says where a value comes from, and what it won over.
func (b *builder) origin(a inventory.Assignment) string {
	text := fmt.Sprintf("%s (%s)", printable(a.Place.String()), a.Tool)
	if by, known := brought[a.Name]; known && a.Parameter {
		return text + ": " + printable(a.Key) + " makes it " + strconv.FormatInt(by.times, 10) + " times as many at load"
	}
	var lost []string
	for _, other := range b.from.Assignments {
		over := printable(fmt.Sprintf("%s of %s", other.Value, other.Place))
		if other.Name == a.Name && other.NoEffect != "" && other.Place != a.Place && !slices.Contains(lost, over) {
			lost = append(lost, over)
		}
	}
	if len(lost) > 0 {
		text += "; over " + strings.Join(lost, ", ")
	}
	return text
}

// now says what the kernel has, where it is something else.
func (b *builder) now(want sysfs.Want) string {
	files := sysfs.NewReader(b.tree.Root())
	defer func() { _ = files.Close() }() // they were only read
	value, err := files.Read(want.Setting)
	if err != nil || want.Satisfied(value) {
		return ""
	}
	return "; now " + printable(value)
}

// obsolete are the lines whose every value ctkeeper has now: of files that people
// write, and whose lines do nothing else.
func (b *builder) obsolete() []tree.Place {
	var places []tree.Place
	for _, a := range b.from.Assignments {
		if a.Line > 0 && deletable(a) && !slices.Contains(places, a.Place) && !slices.Contains(b.from.EarlyLoads, a.Place) && b.allGone(a.Place) {
			places = append(places, a.Place)
		}
	}
	places = append(places, b.loadLines()...)
	slices.SortFunc(places, func(x, y tree.Place) int {
		if x.File != y.File {
			return strings.Compare(x.File, y.File)
		}
		return x.Line - y.Line
	})
	return places
}

// loadLines are the lines of modules-load.d that module.load takes the place of: those
// that name nf_conntrack itself, and not a module that needs it.
func (b *builder) loadLines() []tree.Place {
	loads := b.had.Module.Load || slices.ContainsFunc(b.taken(), func(i item) bool { return i.section == "module" && i.key == "load" })
	if !loads {
		return nil
	}
	var places []tree.Place
	for _, at := range b.from.EarlyLoads {
		if b.ours(at) || !strings.HasPrefix(at.File, "/etc/modules-load.d/") {
			continue
		}
		text, err := b.tree.Read(at.File, maxLines)
		lines := strings.Split(string(text), "\n")
		if err == nil && at.Line <= len(lines) && slices.Contains([]string{"nf_conntrack", "nf-conntrack"}, strings.TrimSpace(lines[at.Line-1])) {
			places = append(places, at)
		}
	}
	return places
}

// deletable reports whether a line is nothing but an assignment, in a file that
// belongs to the administrator.
func deletable(a inventory.Assignment) bool {
	switch {
	case a.FromPersist || !strings.HasPrefix(a.File, "/etc/"):
		return false
	case a.Tool == "modprobe":
		return a.Parameter // not an install command
	}
	return slices.Contains([]string{"systemd-sysctl", "sysctl", "ufw", "tuned", "rc.local", "sysconfig"}, a.Tool)
}

// allGone reports whether ctkeeper has all that a line assigns.
func (b *builder) allGone(at tree.Place) bool {
	for _, a := range b.from.Assignments {
		taken := b.gone["settings."+a.Name]
		if a.Parameter {
			taken = b.gone["module.parameters."+a.Name] || taken && a.Name == sysfs.Hashsize
		}
		if a.Place == at && !taken {
			return false
		}
	}
	return true
}

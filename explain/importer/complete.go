package importer

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/meminfo"
	"github.com/ctkeeper/ctkeeper/host/printable"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// Complete returns a whole main file for a host: the values that its files set, floors from the size of its memory for
// the others, and as comments where each comes from, what it costs, and who else writes these settings. The present
// main file does not count; drop-ins do. The error wraps the config.Errors of a configuration with this file. With
// ErrNothingToRead there is no file.
func Complete(t tree.Tree, from inventory.Inventory) (Import, error) {
	b, err := newBuilder(t, from, config.DefaultMain)
	if err != nil {
		return Import{}, err
	}
	b.config = &config.Config{}
	b.head = []string{
		"# The configuration of ctkeeper for this host, made by ctkeeper init. Change it as you like.",
		"# Every key: ctkeeper.yaml(5). ctkeeper config check finds mistakes.",
	}
	b.addSettings()
	b.addFloors()
	b.addModule()
	b.addLoad()
	b.dropUnsupported()
	b.addInvalid()
	cfg, err := b.check()
	if err != nil {
		err = fmt.Errorf("the configuration would be refused with this file: %w", err)
		return Import{YAML: b.yaml(), Notes: b.notes}, err
	}
	if !slices.ContainsFunc(b.accepted(), func(i item) bool { return i.section == "settings" }) {
		b.head = append(b.head, "settings: {}")
	}
	b.addCosts(cfg)
	b.foot = append(b.foot, "enforcement:",
		"  mode: enforce  # the default. observe: report what is not as wanted, write nothing",
		"guard: off  # the default. To name or block other writers: ctkeeper guard on watch, or hold")
	b.foot = append(b.foot, b.owners()...)
	return Import{YAML: b.yaml(), Notes: b.notes, Obsolete: b.obsolete()}, nil
}

// addFloors adds max and hashsize with a floor from memory, unless a file sets them, or could.
func (b *builder) addFloors() {
	_, unknown := meminfo.Total(b.tree)
	for _, name := range []string{sysfs.Hashsize, sysfs.Max} {
		has := slices.ContainsFunc(b.items, func(i item) bool { return i.section == "settings" && i.name == name })
		switch {
		case has:
		case b.container != "":
			b.note("%s left out: this is a container (%s), and its host sets it", name, b.container)
		case unknown != nil:
			b.note("%s left out: %s", name, unknown)
		default:
			b.items = append(b.items, item{
				section: "settings", key: name, name: name, value: "{at_least: auto}",
				comment: "no file of this host sets it",
			})
		}
	}
	order := func(i item) int {
		return slices.IndexFunc(sysfs.Catalogue(), func(s *sysfs.Setting) bool { return s.Name == i.name })
	}
	slices.SortStableFunc(b.items, func(x, y item) int {
		n, m := order(x), order(y)
		if n < 0 || m < 0 { // those that are not in the catalogue are the last ones
			return cmp.Compare(m, n)
		}
		return cmp.Compare(n, m)
	})
}

// addLoad adds the default of module.load where no file loads the module.
func (b *builder) addLoad() {
	isLoad := func(i item) bool { return i.section == "module" }
	if slices.ContainsFunc(b.items, isLoad) || kmod.Observe(b.tree, kmod.Conntrack).State == kmod.BuiltIn {
		return
	}
	at := slices.IndexFunc(b.items, func(i item) bool { return i.section == "module.parameters" })
	if at < 0 {
		at = len(b.items)
	}
	b.items = slices.Insert(b.items, at, item{
		section: "module", key: "load", name: "load", value: "false",
		comment: "the default: wait until something loads nf_conntrack",
	})
}

// dropUnsupported makes comments of the parameters that this kernel does not have, as far as it shows them: none while
// the module is not loaded, and never enable_hooks (mode 0 of module_param). The inventory has no such settings.
func (b *builder) dropUnsupported() {
	const parameters = "/sys/module/" + kmod.Conntrack + "/parameters/"
	for n := range b.items {
		i := &b.items[n]
		isShown := i.section == "module.parameters" && b.tree.Exists(parameters) && i.name != "enable_hooks"
		if isShown && !b.tree.Exists(parameters+i.name) {
			i.refused = "this kernel does not have it"
			delete(b.covered, i.section+"."+i.name)
		}
	}
}

// addCosts adds to the comments what each value takes in memory.
func (b *builder) addCosts(cfg *config.Config) {
	for n := range b.items {
		i := &b.items[n]
		want, found := cfg.Want(i.name)
		if i.section != "settings" || i.refused != "" || !found || want.Origin.File != b.path {
			continue
		}
		if want.Auto {
			i.comment += "; auto is " + want.Value.String() + " here"
		}
		bytes := want.MemoryBytes()
		switch {
		case bytes == 0:
		case i.name == sysfs.Hashsize:
			i.comment += "; takes " + config.FormatBytes(bytes)
		default:
			i.comment += "; a full table takes " + config.FormatBytes(bytes)
		}
	}
}

// owners returns comments about who else writes these settings, by tool, and what to do.
func (b *builder) owners() []string {
	type owner struct {
		tool, when string
		names      []string
		places     []string
	}
	var owners []*owner
	for _, a := range b.from.Assignments {
		if a.NoEffect != "" || a.FromPersist || a.Tool == "modprobe" || a.Tool == "kernel" {
			continue // options of the module count at its load only, and ctkeeper's replace them
		}
		isKnown := func(b inventory.Assignment) bool {
			return a.Uncertain != "" && b.Uncertain == "" && b.Place == a.Place && b.Name == a.Name
		}
		if slices.ContainsFunc(b.from.Assignments, isKnown) {
			continue // a unit that may apply the same line again
		}
		at := slices.IndexFunc(owners, func(o *owner) bool { return o.tool == a.Tool })
		if at < 0 {
			owners, at = append(owners, &owner{tool: a.Tool, when: a.Phase.String()}), len(owners)
		}
		o := owners[at]
		if !slices.Contains(o.names, a.Name) {
			o.names = append(o.names, a.Name)
		}
		if !slices.Contains(o.places, a.File) {
			o.places = append(o.places, a.File)
		}
	}
	var lines []string
	add := func(text string) { lines = append(lines, "# - "+printable.Line(text)) }
	for _, o := range owners {
		add(fmt.Sprintf("%s sets %s %s (%s). %s", o.tool, strings.Join(o.names, ", "), o.when,
			strings.Join(o.places, ", "), adviceFor(o.tool)))
	}
	for _, o := range b.from.ToolOptions {
		if unloads(o) {
			add(fmt.Sprintf("a restart of %s can unload nf_conntrack (%s=%s, %s). ctkeeper applies its values at the "+
				"next load.", o.Tool, o.Name, o.Value, o.Place))
		}
	}
	for _, m := range b.from.Mentions {
		if len(m.Sets) > 0 {
			add(fmt.Sprintf("%s could set %s: look at it.", m.Place, strings.Join(m.Sets, ", ")))
		}
	}
	if len(lines) > 0 {
		lines = append([]string{"", "# Who else writes these settings on this host:"}, lines...)
	}
	if places := b.obsolete(); len(places) > 0 {
		lines = append(lines, "", "# Once this file is in use, these lines can be deleted:")
		for _, place := range places {
			lines = append(lines, "#   "+printable.Line(place.String()))
		}
	}
	return lines
}

// unloads reports whether an option makes a restart of its tool unload the module.
func unloads(o inventory.ToolOption) bool {
	isOn := slices.Contains([]string{"yes", "true", "1"}, strings.ToLower(o.Value))
	return isOn && !o.Default && strings.Contains(strings.ToLower(o.Name), "modules") &&
		(strings.Contains(strings.ToLower(o.Name), "unload") || strings.Contains(strings.ToLower(o.Name), "cleanup"))
}

// adviceFor returns what to do about a tool that sets these values.
func adviceFor(tool string) string {
	switch tool {
	case "kube-proxy", "k3s", "rke2":
		return "Set its conntrack options to 0, with which it leaves these values alone, or use ctkeeper guard on hold."
	case "tuned":
		return "It sets them again with each profile: delete the lines from the profile, or use ctkeeper guard on hold."
	case "systemd-sysctl", "sysctl", "rc.local", "sysconfig":
		return "ctkeeper starts after it, and repairs what it changes later."
	case "ufw", "firewalld", "shorewall", "iptables", "ip6tables", "pve-firewall":
		return "ctkeeper repairs that after each restart of the firewall."
	}
	return "ctkeeper repairs that."
}

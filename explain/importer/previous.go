package importer

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

// previousComment is the comment on a value that no other file sets any more.
const previousComment = "imported before; no other file sets it now"

// readConfig reads the configuration without and with the values of an existing drop-in. In both
// cases the drop-in hides files of the same name.
func (b *builder) readConfig() error {
	var err error
	empty := map[string][]byte{DropInPath: []byte(Header + "\n")}
	b.config, err = config.Source{Root: b.tree.Root(), Host: b.tree, Draft: empty}.Load()
	if text, unread := b.tree.Read(DropInPath, maxFile); err == nil && unread == nil && isOurs(text) {
		b.previous, err = config.Source{Root: b.tree.Root(), Host: b.tree}.Load()
	}
	if err != nil {
		b.note("the configuration is refused: values that it sets already are not left out")
		b.config, b.previous = &config.Config{}, nil
	}
	return err
}

// isOurs reports whether import wrote a file with this text.
func isOurs(text []byte) bool { return bytes.HasPrefix(text, []byte(Header+"\n")) }

// addPrevious keeps the values of the existing drop-in that no other file sets now: people delete the
// lines that import calls obsolete, and run it again.
func (b *builder) addPrevious() {
	if b.previous == nil {
		return
	}
	isImported := func(origin tree.Place) bool { return origin.File == DropInPath }
	for _, want := range b.previous.Wants {
		has, configured := b.config.Want(want.Setting.Name)
		if isImported(want.Origin) && (!configured || has.Origin.File == config.DefaultOrigin) {
			b.addItem(item{section: "settings", key: want.Setting.Name, name: want.Setting.Name, value: policy(want)})
		}
	}
	if b.previous.Module.Load && isImported(b.previous.Origins[moduleLoad]) {
		b.addItem(item{section: "module", key: "load", name: "load", value: "true"})
	}
	for _, p := range b.previous.Module.Parameters {
		if isImported(p.Origin) {
			b.addItem(item{section: "module.parameters", key: plain(p.Name), name: p.Name, value: plain(p.Value)})
		}
	}
	sections := []string{"settings", "module", "module.parameters"}
	slices.SortStableFunc(b.items, func(x, y item) int {
		return cmp.Compare(slices.Index(sections, x.section), slices.Index(sections, y.section))
	})
}

// addItem adds an item of the previous import, unless a file sets its value now.
func (b *builder) addItem(i item) {
	if !slices.ContainsFunc(b.items, func(has item) bool { return has.section == i.section && has.name == i.name }) {
		i.comment = previousComment
		b.items = append(b.items, i)
	}
}

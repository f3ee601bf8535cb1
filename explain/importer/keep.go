package importer

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/config"
)

// keptComment stands behind a line whose value no other file gives any more.
const keptComment = "imported before; no other file gives it now"

// before reads the configuration: without what Target says, though it hides the files
// that it hides, and with it.
func (b *builder) before() error {
	var err error
	b.had, err = config.Source{Root: b.tree.Root(), Draft: map[string][]byte{DropInPath: []byte(Header + "\n")}}.Load()
	if text, unread := b.tree.Read(DropInPath, maxTarget); err == nil && unread == nil && written(text) {
		b.old, err = config.Source{Root: b.tree.Root()}.Load()
	}
	if err != nil {
		b.note("the configuration is refused, so nobody can tell what it gives already")
		b.had, b.old = &config.Config{}, nil
	}
	return err
}

// written reports whether a file at Target is from import.
func written(text []byte) bool { return bytes.HasPrefix(text, []byte(Header+"\n")) }

// keep takes over from the drop-in of an import before what no file gives now: people
// delete the lines that import calls obsolete, and run it again.
func (b *builder) keep() {
	if b.old == nil {
		return
	}
	imported := func(origin string) bool { return strings.HasPrefix(origin, DropInPath+":") }
	for _, want := range b.old.Wants {
		has, given := b.had.Want(want.Setting.Name)
		if imported(want.Origin) && (!given || has.Origin == config.DefaultOrigin) {
			b.kept(item{section: "settings", key: want.Setting.Name, name: want.Setting.Name, value: policy(want)})
		}
	}
	if b.old.Module.Load && imported(b.old.Origins[moduleLoad]) {
		b.kept(item{section: "module", key: "load", name: "load", value: "true"})
	}
	for _, p := range b.old.Module.Parameters {
		if imported(p.Origin) {
			b.kept(item{section: "module.parameters", key: plainKey(p.Name), name: p.Name, value: plainKey(p.Value)})
		}
	}
	sections := []string{"settings", "module", "module.parameters"}
	slices.SortStableFunc(b.items, func(x, y item) int {
		return cmp.Compare(slices.Index(sections, x.section), slices.Index(sections, y.section))
	})
}

func (b *builder) kept(i item) {
	if !slices.ContainsFunc(b.items, func(has item) bool { return has.section == i.section && has.name == i.name }) {
		i.comment = keptComment
		b.items = append(b.items, i)
	}
}

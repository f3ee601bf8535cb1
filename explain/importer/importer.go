package importer

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

// Target is the drop-in that import --write puts its YAML in.
const DropInPath = "/etc/ctkeeper/conf.d/50-imported.yaml"

// Header begins every drop-in that import writes; a file without it is somebody
// else's.
const Header = "# Written by ctkeeper import, which replaces it; take this line away to keep the file as it is."

// Import is what a host's files come to.
type Import struct {
	// YAML is the drop-in, with a comment on each line telling where it came from.
	YAML []byte
	// Empty is true where the drop-in asks for nothing: nothing was found, or the
	// configuration has it all.
	Empty bool
	// Obsolete are the lines that ctkeeper's configuration takes the place of, for
	// people to delete.
	Obsolete []tree.Place
	// Notes are for people.
	Notes []string
}

// ErrNothing is a tree with nothing in it to import from.
var ErrNothingToRead = errors.New("nothing to read")

// New works out the drop-in. The error wraps that of the configuration as it is, or as
// the host would have it with the drop-in, a config.Errors: the drop-in is then not to
// be written. ErrNothing comes without a drop-in.
func New(t tree.Tree, from inventory.Inventory) (Import, error) {
	if places := []string{"/etc", "/run", "/usr/lib", "/lib"}; !slices.ContainsFunc(places, t.Exists) {
		return Import{}, fmt.Errorf("cannot import from %s: %w: no %s", t.Real("/"), ErrNothingToRead, strings.Join(places, ", no "))
	}
	b := builder{tree: t, from: from}
	before := b.before()
	b.settings()
	b.module()
	b.keep()
	err := b.check()
	if before != nil {
		err = fmt.Errorf("the configuration is refused as it is: %w", before)
	} else if err != nil {
		err = fmt.Errorf("the configuration would be refused with this drop-in: %w", err)
	}
	result := Import{YAML: b.yaml(), Empty: len(b.taken()) == 0, Notes: b.notes}
	if err == nil {
		result.Obsolete = b.obsolete()
	}
	return result, err
}

// item is one line of the drop-in.
type item struct {
	// section is settings, module or module.parameters.
	section, key, value string
	// name is the key without quotes.
	name    string
	comment string
	// refused is why config does not take it, or "".
	refused string
	line    int // in the YAML, from 1
}

type builder struct {
	tree  tree.Tree
	from  inventory.Inventory
	had   *config.Config // without what Target says
	old   *config.Config // with Target, where an import before wrote it; or nil
	items []item
	gone  map[string]bool // names whose lines elsewhere have no more use
	notes []string
}

func (b *builder) note(format string, args ...any) {
	b.notes = append(b.notes, fmt.Sprintf(format, args...))
}

func (b *builder) taken() []item {
	return slices.DeleteFunc(slices.Clone(b.items), func(i item) bool { return i.refused != "" })
}

// check has the configuration read with the drop-in in place, and takes out what it
// refuses, until nothing is left to take out.
func (b *builder) check() error {
	for {
		_, err := config.Source{Root: b.tree.Root(), Draft: map[string][]byte{DropInPath: b.yaml()}}.Load()
		var wrong config.Errors
		if !errors.As(err, &wrong) || !b.refuse(wrong) {
			return err
		}
	}
}

// refuse marks the lines that errors are about, and reports whether there are any.
func (b *builder) refuse(wrong config.Errors) bool {
	found := false
	for _, e := range wrong {
		at := slices.IndexFunc(b.items, func(i item) bool { return i.line == e.Line && i.refused == "" })
		if e.File != b.tree.Real(DropInPath) || at < 0 {
			continue
		}
		found = true
		i := &b.items[at]
		i.refused = e.Problem
		if e.Allowed != "" {
			i.refused += " (" + e.Allowed + ")"
		}
		i.refused = printable(i.refused)
		delete(b.gone, i.section+"."+i.name)
		b.note("%s %s is not taken: %s; it comes from %s", i.key, i.value, i.refused, i.comment)
	}
	return found
}

// yaml renders the drop-in, and notes the line of each item.
func (b *builder) yaml() []byte {
	var out strings.Builder
	line := 0
	write := func(text string) {
		out.WriteString(text + "\n")
		line++
	}
	write(Header)
	if len(b.taken()) == 0 {
		write("# Nothing sets values here that the configuration does not have already.")
	}
	section := ""
	for n := range b.items {
		i := &b.items[n]
		if i.refused != "" {
			write(fmt.Sprintf("# not taken: %s: %s: %s  # %s", i.key, i.value, i.refused, i.comment))
			continue
		}
		indent := "  "
		if i.section != section {
			top, below, deeper := strings.Cut(i.section, ".")
			if !strings.HasPrefix(section, top) {
				write(top + ":")
			}
			if deeper {
				write("  " + below + ":")
			}
			section = i.section
		}
		if strings.Contains(section, ".") {
			indent = "    "
		}
		write(indent + i.key + ": " + i.value + "  # " + i.comment)
		i.line = line
	}
	return []byte(out.String())
}

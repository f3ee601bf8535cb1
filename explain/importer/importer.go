package importer

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/distro"
	"github.com/ctkeeper/ctkeeper/host/printable"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// DropInPath is the drop-in that import --write writes.
const DropInPath = "/etc/ctkeeper/conf.d/50-imported.yaml"

// Header begins every drop-in that import writes. A file without it is foreign.
const Header = "# Written by ctkeeper import, which replaces this file. Delete this line to keep your changes."

// Import is the result of an import.
type Import struct {
	// YAML is the drop-in. A comment on each line has the place that the value comes from.
	YAML []byte
	// Empty is true if the drop-in sets nothing: no file sets a value, or the configuration has all
	// of them.
	Empty bool
	// Obsolete are the lines that ctkeeper's configuration replaces. People can delete them.
	Obsolete []tree.Place
	// Notes are for operators: what was left out, and why.
	Notes []string
}

// ErrNothingToRead is returned for a tree without any of the directories to import from.
var ErrNothingToRead = errors.New("nothing to read")

// New returns the drop-in for an inventory. The error wraps the config.Errors of the present
// configuration, or of the configuration with the drop-in: the drop-in must then not be written. With
// ErrNothingToRead there is no drop-in.
func New(t tree.Tree, from inventory.Inventory) (Import, error) {
	b, err := newBuilder(t, from, DropInPath)
	if err != nil {
		return Import{}, err
	}
	refused := b.readConfig()
	b.addSettings()
	b.addModule()
	b.addInvalid()
	b.addPrevious()
	_, err = b.check()
	if refused != nil {
		err = fmt.Errorf("the present configuration is refused: %w", refused)
	} else if err != nil {
		err = fmt.Errorf("the configuration would be refused with this drop-in: %w", err)
	}
	result := Import{YAML: b.yaml(), Empty: len(b.accepted()) == 0, Notes: b.notes}
	if err == nil {
		result.Obsolete = b.obsolete()
	}
	return result, err
}

func newBuilder(t tree.Tree, from inventory.Inventory, path string) (*builder, error) {
	if places := []string{"/etc", "/run", "/usr/lib", "/lib"}; !slices.ContainsFunc(places, t.Exists) {
		missing := strings.Join(places, ", no ")
		return nil, fmt.Errorf("cannot import from %s: %w: no %s", t.Real("/"), ErrNothingToRead, missing)
	}
	return &builder{
		tree: t, from: from, path: path, head: []string{Header}, covered: map[string]bool{},
		live: sysfs.ReadAll(t), container: distro.Read(t).Platform.Container,
	}, nil
}

// item is one line of the file.
type item struct {
	// section is settings, module or module.parameters.
	section, key, value string
	// name is the key without quotes.
	name    string
	comment string
	// refused is why config refuses it, or "".
	refused string
	// undecided is true if it is not known what sets the value; comment then has the candidates.
	undecided bool
	line      int // in the YAML, from 1
}

// builder builds the drop-in, or the whole configuration of Complete.
type builder struct {
	tree tree.Tree
	from inventory.Inventory
	// path is where the file will be; head and foot are the comments before and after its items.
	path       string
	head, foot []string
	// config is the configuration without the values of an existing drop-in at DropInPath.
	// previous is the configuration with them, or nil if import did not write that drop-in.
	config, previous *config.Config
	items            []item
	// container is the kind of a container, "" for none: its host sets what all namespaces share.
	container string
	// live has the settings that this kernel has, as text.
	live map[string]string
	// covered has the keys that ctkeeper sets now: lines of other files that set them are obsolete.
	covered map[string]bool
	notes   []string
}

func (b *builder) note(format string, args ...any) {
	b.notes = append(b.notes, fmt.Sprintf(format, args...))
}

// accepted returns the items that are decided and that config does not refuse.
func (b *builder) accepted() []item {
	return slices.DeleteFunc(slices.Clone(b.items), func(i item) bool { return i.refused != "" || i.undecided })
}

// check loads the configuration with the file, and marks the items that it refuses, until it
// refuses no more of them.
func (b *builder) check() (*config.Config, error) {
	for {
		cfg, err := config.Source{Root: b.tree.Root(), Host: b.tree, Draft: map[string][]byte{b.path: b.yaml()}}.Load()
		var refused config.Errors
		if !errors.As(err, &refused) || !b.refuse(refused) {
			return cfg, err
		}
	}
}

// refuse marks the items that errors are about, and reports whether there are any.
func (b *builder) refuse(errs config.Errors) bool {
	found := false
	for _, e := range errs {
		at := slices.IndexFunc(b.items, func(i item) bool { return i.line == e.Line && i.refused == "" })
		if e.File != b.tree.Real(b.path) || at < 0 {
			continue
		}
		found = true
		i := &b.items[at]
		i.refused = e.Problem
		if e.Allowed != "" {
			i.refused += " (" + e.Allowed + ")"
		}
		i.refused = printable.Line(i.refused)
		delete(b.covered, i.section+"."+i.name)
		b.note("%s %s left out: %s; from %s", i.key, i.value, i.refused, i.comment)
	}
	return found
}

// yaml returns the text of the file, and sets the line of each item.
func (b *builder) yaml() []byte {
	var out strings.Builder
	line := 0
	write := func(text string) {
		out.WriteString(text + "\n")
		line++
	}
	for _, text := range b.head {
		write(text)
	}
	if len(b.items) == 0 && b.path == DropInPath {
		write("# No file of this host sets a value that the configuration does not set already.")
	}
	section := ""
	for n := range b.items {
		i := &b.items[n]
		if i.undecided {
			write(fmt.Sprintf("# not decided: %s: %s", i.key, i.comment))
			continue
		}
		if i.refused != "" {
			write(fmt.Sprintf("# left out: %s: %s: %s  # %s", i.key, i.value, i.refused, i.comment))
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
	for _, text := range b.foot {
		write(text)
	}
	return []byte(out.String())
}

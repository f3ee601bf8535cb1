package importer

import (
	"github.com/ctkeeper/ctkeeper/inventory"
	"github.com/ctkeeper/ctkeeper/tree"
)

// Target is the drop-in that import --write puts its YAML in.
const Target = "/etc/ctkeeper/conf.d/50-imported.yaml"

// Import is what a host's files come to.
type Import struct {
	// YAML is the drop-in, with a comment on each line telling where it came from.
	YAML []byte
	// Obsolete are the lines that ctkeeper's configuration takes the place of, for
	// people to delete.
	Obsolete []tree.Place
	// Notes are for people.
	Notes []string
}

// New works out the drop-in.
func New(t tree.Tree, from inventory.Inventory) (Import, error) { return Import{}, nil }

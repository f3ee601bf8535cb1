package view

import (
	"io"

	"github.com/ctkeeper/ctkeeper/importer"
	"github.com/ctkeeper/ctkeeper/tree"
)

// ImportView is an import in the form for programs. Its lists are never nil.
type ImportView struct {
	YAML     string       `json:"yaml"`
	Obsolete []tree.Place `json:"obsolete"`
	Notes    []string     `json:"notes"`
}

// Import writes the drop-in: for people the file as it is.
func (p Printer) Import(i importer.Import) error {
	doc := ImportView{string(i.YAML), append([]tree.Place{}, i.Obsolete...), append([]string{}, i.Notes...)}
	return p.Document(doc, func(w io.Writer) {
		_, _ = w.Write(i.YAML) // a buffer takes everything
	})
}

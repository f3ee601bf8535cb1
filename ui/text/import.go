package text

import (
	"fmt"
	"io"

	"github.com/ctkeeper/ctkeeper/explain/importer"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/status"
)

// ImportView is the document of an import. Its lists are never nil.
type ImportView struct {
	API      status.API   `json:"api"`
	YAML     string       `json:"yaml"`
	Obsolete []tree.Place `json:"obsolete"`
	Notes    []string     `json:"notes"`
}

// Import writes the drop-in: for people the file as it is.
func (p Printer) Import(i importer.Import) error {
	doc := ImportView{
		YAML:     string(i.YAML),
		Obsolete: append([]tree.Place{}, i.Obsolete...),
		Notes:    append([]string{}, i.Notes...),
	}
	return p.Document(doc, func(w io.Writer) {
		_, _ = w.Write(i.YAML) // a buffer takes everything
	})
}

// ImportNotes writes an import's notes for people, each on a line of its own whatever
// names the host's files have.
func ImportNotes(w io.Writer, notes []string) {
	for _, note := range notes {
		_, _ = fmt.Fprintln(w, "note:", visible(note))
	}
}

// ImportObsolete names the lines that the drop-in takes the place of, where it is
// written, or would take.
func ImportObsolete(w io.Writer, places []tree.Place, written bool) {
	if len(places) == 0 {
		return
	}
	when := "With this in " + importer.DropInPath + " these"
	if written {
		when = "These"
	}
	_, _ = fmt.Fprintln(w, when+" lines can be deleted:")
	for _, place := range places {
		_, _ = fmt.Fprintln(w, "  "+visible(place.String()))
	}
}

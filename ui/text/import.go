package text

import (
	"fmt"
	"io"

	"github.com/ctkeeper/ctkeeper/explain/importer"
	"github.com/ctkeeper/ctkeeper/host/printable"
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

// Import writes the drop-in: its text for people, an ImportView for programs.
func (p Printer) Import(i importer.Import) error {
	doc := ImportView{
		YAML:     string(i.YAML),
		Obsolete: append([]tree.Place{}, i.Obsolete...),
		Notes:    append([]string{}, i.Notes...),
	}
	return p.Document(doc, func(w io.Writer) {
		_, _ = w.Write(i.YAML)
	})
}

// ImportNotes writes the notes of an import for people, one a line.
func ImportNotes(w io.Writer, notes []string) {
	for _, note := range notes {
		_, _ = fmt.Fprintln(w, "note:", printable.Line(note))
	}
}

// ImportObsolete lists the lines of other files that the drop-in replaces. written is false where it was only
// printed.
func ImportObsolete(w io.Writer, places []tree.Place, written bool) {
	if len(places) == 0 {
		return
	}
	header := "Once this is in " + importer.DropInPath + ", these lines can be deleted:"
	if written {
		header = "These lines can be deleted:"
	}
	_, _ = fmt.Fprintln(w, header)
	for _, place := range places {
		_, _ = fmt.Fprintln(w, "  "+printable.Line(place.String()))
	}
}

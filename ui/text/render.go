package text

import (
	"io"

	"github.com/ctkeeper/ctkeeper/explain/render"
	"github.com/ctkeeper/ctkeeper/status"
)

// RenderView is the document of a snippet. Its lists are never nil.
type RenderView struct {
	API     status.API       `json:"api"`
	Target  string           `json:"target"`
	Snippet string           `json:"snippet"`
	Notes   []string         `json:"notes"`
	LeftOut []render.LeftOut `json:"left_out"`
}

// Render writes a snippet: for people with its notes as comments, a RenderView for programs. Where the format of the
// snippet has no comments, the notes go to notes.
func (p Printer) Render(s render.Snippet, notes io.Writer) error {
	doc := RenderView{
		Target: s.Target, Snippet: s.Body, Notes: append([]string{}, s.Notes...),
		LeftOut: append([]render.LeftOut{}, s.LeftOut...),
	}
	return p.Document(doc, func(w io.Writer) {
		if s.HasComments() {
			notes = w
		}
		_, _ = io.WriteString(notes, s.Comments())
		_, _ = io.WriteString(w, s.Body)
	})
}

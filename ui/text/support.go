package text

import (
	"fmt"
	"io"

	"github.com/ctkeeper/ctkeeper/explain/support"
	"github.com/ctkeeper/ctkeeper/host/printable"
	"github.com/ctkeeper/ctkeeper/status"
)

// Support is the document of ctkeeper support.
type Support struct {
	API status.API `json:"api"`
	// File is the archive, Files what is in it.
	File  string          `json:"file"`
	Files []support.Entry `json:"files"`
}

// Support lists what is in an archive.
func (p Printer) Support(s Support) error {
	return p.Document(s, func(w io.Writer) {
		for _, e := range s.Files {
			_, _ = fmt.Fprintf(w, "%8d %s", e.Size, printable.Line(e.Name))
			if e.Error != "" {
				_, _ = fmt.Fprintf(w, " (incomplete: %s)", printable.Line(e.Error))
			}
			_, _ = fmt.Fprintln(w)
		}
		if s.File != "-" {
			_, _ = fmt.Fprintf(w, "wrote %s. Nothing is sent: review it before you send it.\n", s.File)
		}
	})
}

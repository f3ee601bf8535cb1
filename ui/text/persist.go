package text

import (
	"fmt"
	"io"

	"github.com/ctkeeper/ctkeeper/persist"
	"github.com/ctkeeper/ctkeeper/status"
)

// PersistView is the document of ctkeeper persist.
type PersistView struct {
	API status.API `json:"api"`
	persist.Report
}

// Persist writes what changed in the boot files; of a dry run only the difference, as patch(1) reads it.
func (p Printer) Persist(r persist.Report) error {
	return p.Document(PersistView{Report: r}, func(w io.Writer) {
		if r.DryRun {
			_, _ = io.WriteString(w, r.Diff)
			return
		}
		unchanged := len(r.Errors) == 0 // standard error has those
		report := func(verb, object string) {
			_, _ = fmt.Fprintf(w, "%s %s\n", verb, object)
			unchanged = false
		}
		for _, f := range r.Files {
			switch f.Change {
			case persist.Written:
				report("wrote", f.Path)
			case persist.Removed:
				report("removed", f.Path)
			}
		}
		if r.Loaded {
			report("loaded", "nf_conntrack")
		}
		if unchanged {
			_, _ = fmt.Fprintln(w, "Nothing to change.")
		}
	})
}

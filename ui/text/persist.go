package text

import (
	"fmt"
	"io"

	"github.com/ctkeeper/ctkeeper/persist"
	"github.com/ctkeeper/ctkeeper/status"
)

// PersistView is the document of a persist.
type PersistView struct {
	API status.API `json:"api"`
	persist.Report
}

// Persist writes what became of the boot files; of a dry run the difference alone,
// which patch(1) understands.
func (p Printer) Persist(r persist.Report) error {
	return p.Document(PersistView{Report: r}, func(w io.Writer) {
		if r.DryRun {
			_, _ = io.WriteString(w, r.Diff) // a buffer takes everything
			return
		}
		idle := len(r.Errors) == 0 // standard error has those
		say := func(what, object string) {
			_, _ = fmt.Fprintf(w, "%s %s\n", what, object)
			idle = false
		}
		for _, f := range r.Files {
			switch f.Change {
			case persist.Written:
				say("wrote", f.Path)
			case persist.Removed:
				say("removed", f.Path)
			}
		}
		if r.Loaded {
			say("loaded", "nf_conntrack")
		}
		if idle {
			_, _ = fmt.Fprintln(w, "Nothing to change.")
		}
	})
}

package text

import (
	"fmt"
	"io"

	"github.com/ctkeeper/ctkeeper/persist"
	"github.com/ctkeeper/ctkeeper/status"
)

// GuardChange is the document of ctkeeper guard on and off.
type GuardChange struct {
	API status.API `json:"api"`
	persist.Report
	// Mode is the wanted mode.
	Mode string `json:"mode"`
	// Commands were run after the files were written, or would be.
	Commands []string `json:"commands"`
	// Status is the daemon's; none runs below --root, and none is asked in a dry run.
	Status status.Document `json:"-"`
	Guard  status.Guard    `json:"guard"`
}

// GuardChange writes what changed and what the guard does now; of a dry run the difference and the commands.
func (p Printer) GuardChange(c GuardChange) error {
	c.Commands = append([]string{}, c.Commands...)
	c.Guard = c.Status.Guard
	return p.Document(c, func(w io.Writer) {
		ran := "ran "
		if c.DryRun {
			ran = ""
			_, _ = io.WriteString(w, c.Diff)
		} else {
			for _, f := range c.Files {
				if f.Change != persist.Unchanged {
					_, _ = fmt.Fprintf(w, "%s %s\n", map[persist.Change]string{
						persist.Written: "wrote", persist.Removed: "removed",
					}[f.Change], f.Path)
				}
			}
		}
		for _, line := range c.Commands {
			_, _ = fmt.Fprintf(w, "%s%s\n", ran, line)
		}
		switch {
		case c.DryRun && c.Diff == "" && len(c.Commands) == 0, !c.DryRun && c.Diff == "":
			_, _ = fmt.Fprintf(w, "Nothing to change: the guard's mode is %s.\n", c.Mode)
		case !c.Status.Daemon.Running && !c.DryRun:
			_, _ = fmt.Fprintf(w, "The guard's mode is %s from the next start of ctkeeper on.\n", c.Mode)
		}
		p.guard(w, c.Status)
	})
}

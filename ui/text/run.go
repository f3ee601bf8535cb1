package text

import (
	"fmt"
	"io"

	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
)

// RunBegins writes for people, before the daemon starts, what it is about to write. program is how ctkeeper was called.
func (p Printer) RunBegins(s status.Document, program string) error {
	if p.Format != "table" {
		return nil
	}
	switch {
	case s.Daemon.Mode == reconcile.Observe:
		_, _ = fmt.Fprintln(p.Out, "This only looks, and writes nothing. As it is now:")
	case s.Module.State == kmod.Absent:
		_, _ = fmt.Fprintf(p.Out, "%s is not loaded: these settings will be written when it is. "+
			"Only to look: %s run --observe\n", s.Module.Name, program)
	case s.Differs():
		_, _ = fmt.Fprintf(p.Out, "These settings will be written, now and after each change of them. "+
			"Only to look: %s run --observe\n", program)
	default:
		_, _ = fmt.Fprintf(p.Out, "Nothing has to be written now; each change of a setting will be repaired. "+
			"Only to look: %s run --observe\n", program)
	}
	if err := p.Diff(s); err != nil {
		return err
	}
	_, err := io.WriteString(p.Out, "\n")
	return err
}

// RunStarted writes the status after the first pass and, for people, what to do next.
func (p Printer) RunStarted(s status.Document, program string) error {
	if err := p.Status(s); err != nil || p.Format != "table" {
		return err
	}
	_, err := fmt.Fprintf(p.Out, `
Next, in another terminal:
  %[1]s status --watch     settings and connection table, live
  %[1]s events --follow    each change of a setting, as it happens
  %[1]s init               a configuration for this host, with reasons
Ctrl-C stops it, and every value stays as it is. As a service that starts at boot, with the package or make install:
  systemctl enable --now ctkeeper
`, program)
	return err
}

package daemon

import (
	"fmt"
	"strings"

	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/reconcile"
)

// statusLine is the line that systemctl status shows.
func statusLine(s reconcile.Summary, refused error) string {
	parts := []string{fmt.Sprintf("%d of %d settings in force", s.InSync, s.Settings)}
	switch {
	case s.Module.Present:
	case s.InSync == 0:
		parts = []string{"waiting for " + kmod.Conntrack}
	default: // some files belong to another module
		parts = append(parts, fmt.Sprintf("%d waiting for %s", s.Pending, kmod.Conntrack))
	}
	for _, p := range []struct {
		n    int
		what string
	}{
		{s.Drifted, "drifted"}, {s.Contested, "contested"}, {s.Forbidden, "forbidden"},
		{s.Failed, "failed"}, {s.Unsupported, "unsupported by this kernel"},
	} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	if s.Mode == reconcile.Observe {
		parts = append(parts, "mode observe")
	}
	if refused != nil {
		parts = append(parts, "newest configuration refused, the last good one is in force")
	}
	return strings.Join(parts, ", ")
}

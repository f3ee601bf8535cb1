package daemon

import (
	"github.com/ctkeeper/ctkeeper/host/pattern"
	"github.com/ctkeeper/ctkeeper/reconcile"
)

const (
	// maxWriters limits the values of the label by, because anybody may start units and containers with
	// any name.
	maxWriters = 32
	container  = "container"
)

// writerLabel returns the label by of an event, other if there are too many.
func (c *counts) writerLabel(e reconcile.Event) string {
	value := writerOf(e)
	if value == "" {
		return ""
	}
	if !c.writers[value] && len(c.writers) >= maxWriters {
		return other
	}
	c.writers[value] = true
	return value
}

// writerOf returns the unit of an event's writer, or container/COMMAND, or "" if it is not known.
func writerOf(e reconcile.Event) string {
	switch {
	case e.By == nil:
		return ""
	case e.By.Container != "" && e.By.Comm != "":
		return container + "/" + clean(e.By.Comm)
	case e.By.Container != "":
		return container
	default:
		return clean(stableName(e.By.Unit))
	}
}

// transient has the parts of unit names that differ each time, and their replacements.
var transient = []struct {
	pattern     *pattern.Pattern
	replacement string
}{
	// Ids: docker-4f0c….scope, vte-spawn-1b4e28ba-….scope.
	{pattern.New(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32,}`), "*"},
	// systemd-run: run-r4f0c….service, run-u12.service, run-p812-i3.service, run-812.scope.
	{pattern.New(`^run-(r\*|u?[0-9]+|p[0-9]+-i[0-9]+)\.`), "run-*."},
	// One unit for each connection (Accept= in systemd.socket(5)): sshd@3-192.0.2.1:22-….service.
	{pattern.New(`@[0-9]+-.*\.service$`), "@*.service"},
	// session-12.scope, session-c2.scope, app-firefox-4711.scope.
	{pattern.New(`-c?[0-9]+\.scope$`), "-*.scope"},
}

// stableName replaces the transient parts of a unit's name by stars. user@1000.service stays.
func stableName(unit string) string {
	for _, p := range transient {
		unit = p.pattern.ReplaceAllString(unit, p.replacement)
	}
	return unit
}

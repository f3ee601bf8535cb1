package metrics

import (
	"regexp"

	"github.com/ctkeeper/ctkeeper/reconcile"
)

const (
	// maxWriters bounds the values of the label by: anybody may start units and containers,
	// and name commands.
	maxWriters = 32
	container  = "container"
)

// writer is who an event was by, as a label's value: the unit, or container/ and the command.
// Empty is not known.
func (m *Metrics) writer(e reconcile.Event) string {
	value := writerOf(e)
	if value == "" {
		return ""
	}
	if !m.writers[value] && len(m.writers) >= maxWriters {
		return other
	}
	m.writers[value] = true
	return value
}

func writerOf(e reconcile.Event) string {
	switch {
	case e.By == nil:
		return ""
	case e.By.Container != "" && e.By.Comm != "":
		return container + "/" + clean(e.By.Comm)
	case e.By.Container != "":
		return container
	default:
		return clean(steady(e.By.Unit))
	}
}

// passing is what is another one each time in the names of units, and what stands for it.
var passing = []struct {
	pattern *regexp.Regexp
	steady  string
}{
	// Ids: docker-4f0c….scope, vte-spawn-1b4e28ba-….scope.
	{regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32,}`), "*"},
	// systemd-run: run-r4f0c….service, run-u12.service, run-p812-i3.service, run-812.scope.
	{regexp.MustCompile(`^run-(r\*|u?[0-9]+|p[0-9]+-i[0-9]+)\.`), "run-*."},
	// One for each connection (Accept= in systemd.socket(5)): sshd@3-192.0.2.1:22-….service.
	{regexp.MustCompile(`@[0-9]+-.*\.service$`), "@*.service"},
	// session-12.scope, session-c2.scope, app-firefox-4711.scope.
	{regexp.MustCompile(`-c?[0-9]+\.scope$`), "-*.scope"},
}

// steady is a unit's name with stars for what passes. user@1000.service stays.
func steady(unit string) string {
	for _, p := range passing {
		unit = p.pattern.ReplaceAllString(unit, p.steady)
	}
	return unit
}

package status

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// EventFilter selects events. An empty field selects all.
type EventFilter struct {
	Since    time.Time        // events after it
	Settings []string         // events of one of these, by the names in Event.SettingNames
	Kinds    []reconcile.Kind // events of one of these
	// By is the writer's unit (with or without .service), command, process id, container (or the beginning of its id),
	// or pod (its UID, NAME or NAMESPACE/NAME).
	By string
}

// Selects reports whether the filter selects an event.
func (f EventFilter) Selects(e reconcile.Event) bool {
	hasSetting := func(name string) bool { return slices.Contains(e.SettingNames(), name) }
	return e.At.After(f.Since) &&
		(len(f.Settings) == 0 || slices.ContainsFunc(f.Settings, hasSetting)) &&
		(len(f.Kinds) == 0 || slices.Contains(f.Kinds, e.Kind)) &&
		(f.By == "" || e.By != nil && isWriter(*e.By, f.By))
}

// shortestID is how many characters of a container's id are shown, so that many select it.
const shortestID = 12

// isWriter reports whether name is one of a writer's names. Each of several candidates is a text that begins with its
// command.
func isWriter(w sysfs.Writer, name string) bool {
	if len(w.Candidates) > 0 {
		return slices.ContainsFunc(w.Candidates, func(text string) bool {
			command, where, _ := strings.Cut(text, " (")
			return command == name || slices.Contains(strings.FieldsFunc(where, isSeparator), name)
		})
	}
	return w.Comm == name || w.Unit == name || w.Unit == name+".service" || w.Container == name || w.Pod == name ||
		w.PodName != "" && (w.PodName == name || w.PodNamespace+"/"+w.PodName == name) ||
		w.PID > 0 && strconv.Itoa(w.PID) == name ||
		len(name) >= shortestID && strings.HasPrefix(w.Container, name)
}

func isSeparator(r rune) bool { return r == ' ' || r == ',' || r == ')' }

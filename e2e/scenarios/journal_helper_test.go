//go:build guest

package scenarios

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/ctkeeper/ctkeeper/systemd"
)

// A cursor is a place in the journal.
type cursor string

// An entry is one journal entry's fields.
type entry map[string]any

// get gives a field's text, or "".
func (e entry) get(field string) string {
	text, _ := e[field].(string)
	return text
}

// now gives the journal's end.
func now(t *testing.T) cursor {
	t.Helper()
	run(t, "journalctl", "--sync")
	out := run(t, "journalctl", "-n", "1", "-o", "json", "--output-fields=__CURSOR")
	var e entry
	if err := json.Unmarshal([]byte(out), &e); err != nil {
		t.Fatalf("journal: %v: %s", err, out)
	}
	return cursor(e.get("__CURSOR"))
}

// query gives the entries after the cursor that match.
func (c cursor) query(t *testing.T, match ...string) []entry {
	t.Helper()
	run(t, "journalctl", "--sync")
	args := append([]string{"-o", "json", "--no-pager", "--after-cursor", string(c)}, match...)
	out, _ := stdout(t, "journalctl", args...)
	var entries []entry
	for line := range bytes.Lines([]byte(out)) {
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("journal: %v: %s", err, line)
		}
		entries = append(entries, e)
	}
	return entries
}

// events gives the daemon's entries of one kind after the cursor, for one
// setting where one is named. They are looked for by MESSAGE_ID, as a user would.
func (c cursor) events(t *testing.T, kind string, settings ...string) []entry {
	t.Helper()
	match := []string{"MESSAGE_ID=" + systemd.Event(kind).MessageID()}
	for _, s := range settings {
		match = append(match, "CTKEEPER_SETTING="+s)
	}
	return c.query(t, match...)
}

// wait waits for the first entry of a kind.
func (c cursor) wait(t *testing.T, kind string, settings ...string) entry {
	t.Helper()
	return c.waitFor(t, prompt, kind, settings...)
}

func (c cursor) waitFor(t *testing.T, timeout time.Duration, kind string, settings ...string) entry {
	t.Helper()
	var found []entry
	eventually(t, timeout, kind+" "+strings.Join(settings, ",")+" in the journal", func() bool {
		found = c.events(t, kind, settings...)
		return len(found) > 0
	})
	return found[0]
}

// unitEntries gives all that the journal has of the unit, systemd's own words
// about it included.
func (c cursor) unitEntries(t *testing.T) []entry {
	t.Helper()
	return c.query(t, "-u", unit)
}

// text gives the unit's entries for people.
func (c cursor) text(t *testing.T) string {
	t.Helper()
	out, _ := try(t, "journalctl", "--no-pager", "-o", "short-precise", "--after-cursor", string(c), "-u", unit, "-n", "60")
	return out
}

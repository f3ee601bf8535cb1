//go:build guest

package scenarios

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ctkeeper/ctkeeper/systemd"
)

// A cursor is a position in the journal: the time at which journald received the last entry before it, in
// microseconds since the epoch. It is not a cursor of journalctl, because journalctl 252 skips one entry too many
// when --after-cursor is used with a match.
type cursor int64

// An entry has the fields of one journal entry.
type entry map[string]any

// get returns the text of a field, or "".
func (e entry) get(field string) string {
	text, _ := e[field].(string)
	return text
}

// at returns the time at which journald received the entry.
func (e entry) at() cursor {
	usec, _ := strconv.ParseInt(e.get("__REALTIME_TIMESTAMP"), 10, 64)
	return cursor(usec)
}

// journalEnd returns the end of the journal.
func journalEnd(t *testing.T) cursor {
	t.Helper()
	last := entries(t, "-n", "1")
	if len(last) != 1 {
		t.Fatalf("the journal's last entry: %v", last)
	}
	return last[0].at()
}

// query returns the entries after the cursor that match.
func (c cursor) query(t *testing.T, match ...string) []entry {
	t.Helper()
	since := fmt.Sprintf("--since=@%d.%06d", c/1e6, c%1e6)
	found := entries(t, append([]string{since}, match...)...)
	return slices.DeleteFunc(found, func(e entry) bool { return e.at() <= c })
}

// entries runs journalctl after journald has written everything that it received.
func entries(t *testing.T, args ...string) []entry {
	t.Helper()
	run(t, "journalctl", "--sync")
	out, _ := runStdout(t, "journalctl", append([]string{"-b", "-q", "-o", "json", "--no-pager"}, args...)...)
	var found []entry
	for line := range bytes.Lines([]byte(out)) {
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("journal: %v: %s", err, line)
		}
		found = append(found, e)
	}
	return found
}

// events returns the daemon's entries of one kind after the cursor, of one setting if one is given. It finds them by
// MESSAGE_ID, as a user would.
func (c cursor) events(t *testing.T, kind string, settings ...string) []entry {
	t.Helper()
	match := []string{"MESSAGE_ID=" + systemd.MessageID(kind)}
	for _, s := range settings {
		match = append(match, "CTKEEPER_SETTING="+s)
	}
	return c.query(t, match...)
}

// wait waits for the first entry of a kind and returns it.
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

// unitEntries returns all entries of the unit and those of systemd about it.
func (c cursor) unitEntries(t *testing.T) []entry {
	t.Helper()
	return c.query(t, "-u", unit)
}

// text returns the unit's last entries for people.
func (c cursor) text(t *testing.T) string {
	t.Helper()
	var text strings.Builder
	all := c.unitEntries(t)
	for _, e := range all[max(0, len(all)-60):] {
		at := time.UnixMicro(int64(e.at())).UTC().Format("15:04:05.000000")
		fmt.Fprintf(&text, "%s %s: %s\n", at, e.get("SYSLOG_IDENTIFIER"), e.get("MESSAGE"))
	}
	return text.String()
}

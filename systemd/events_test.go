package systemd

import (
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEvents(t *testing.T) {
	// These are what dashboards and scripts look for.
	want := []Event{
		"drift", "contested", "settled", "module-load", "module-unload",
		"config-loaded", "config-refused", "failed", "forbidden",
		"table-pressure", "refused-write",
	}
	if diff := cmp.Diff(want, Events()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestMessageIDs(t *testing.T) {
	id128 := regexp.MustCompile(`^[0-9a-f]{32}$`)
	owner := make(map[string]Event)
	for _, event := range Events() {
		id := event.MessageID()
		if !id128.MatchString(id) {
			t.Errorf("%s: MESSAGE_ID %q is not 32 hexadecimal digits", event, id)
		}
		if other, taken := owner[id]; taken {
			t.Errorf("%s and %s have the same MESSAGE_ID %s", event, other, id)
		}
		owner[id] = event
	}
	if id := Event("no such kind").MessageID(); id != "" {
		t.Errorf("a kind that does not exist has the MESSAGE_ID %q", id)
	}
}

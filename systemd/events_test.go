package systemd

import (
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/reconcile"
)

func TestKinds(t *testing.T) {
	var want []string
	for _, kind := range reconcile.Kinds() {
		want = append(want, string(kind))
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, Kinds()); diff != "" {
		t.Errorf("kinds with a MESSAGE_ID (-reconcile +systemd):\n%s", diff)
	}
}

func TestMessageIDs(t *testing.T) {
	id128 := regexp.MustCompile(`^[0-9a-f]{32}$`)
	owner := make(map[string]string)
	for _, kind := range Kinds() {
		id := MessageID(kind)
		if !id128.MatchString(id) {
			t.Errorf("%s: MESSAGE_ID %q is not 32 hexadecimal digits", kind, id)
		}
		if other, taken := owner[id]; taken {
			t.Errorf("%s and %s have the same MESSAGE_ID %s", kind, other, id)
		}
		owner[id] = kind
	}
	if id := MessageID("no such kind"); id != "" {
		t.Errorf("a kind that does not exist has the MESSAGE_ID %q", id)
	}
}

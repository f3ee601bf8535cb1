package inventory_test

import (
	"testing"

	"github.com/ctkeeper/ctkeeper/explain/inventory"
)

// The live value decides between possible values only if it is one of them; a line that is not understood
// leaves the outcome open otherwise.
func TestOutcome(t *testing.T) {
	certain := inventory.Assignment{Name: "max", Value: "65536"}
	possible := inventory.Assignment{Name: "max", Value: "131072", Uncertain: "within an if"}
	mention := inventory.Mention{Text: "tune max", Sets: []string{"max"}}
	for name, test := range map[string]struct {
		inv           inventory.Inventory
		live, value   string
		decided, seen bool
	}{
		"nothing": {inventory.Inventory{}, "65536", "", false, false},
		"certain": {inventory.Inventory{Assignments: []inventory.Assignment{certain}}, "7", "65536", true, false},
		"possible, live not known": {
			inventory.Inventory{Assignments: []inventory.Assignment{certain, possible}}, "", "65536", false, false,
		},
		"the possible one is live": {
			inventory.Inventory{Assignments: []inventory.Assignment{certain, possible}}, "131072", "131072", true, true,
		},
		"neither is live": {
			inventory.Inventory{Assignments: []inventory.Assignment{certain, possible}}, "7", "65536", false, false,
		},
		"a mention": {
			inventory.Inventory{
				Assignments: []inventory.Assignment{certain}, Mentions: []inventory.Mention{mention},
			}, "7", "65536", false, false,
		},
		"a mention, and the file's value is live": {
			inventory.Inventory{
				Assignments: []inventory.Assignment{certain}, Mentions: []inventory.Mention{mention},
			}, "65536", "65536", true, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := test.inv.Outcome("max", test.live)
			if o.Value != test.value || o.IsDecided() != test.decided || o.Seen != test.seen {
				t.Errorf("%q, decided %t, seen %t; doubts %v", o.Value, o.IsDecided(), o.Seen, o.Doubts)
			}
		})
	}
}

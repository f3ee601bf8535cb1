package config

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDraft(t *testing.T) {
	const dropin = etcDir + "50.yaml"
	root := t.TempDir()
	put(t, root, DefaultMain, "settings: {max: 1, acct: 1}")
	put(t, root, dropin, "settings: {max: 2}")
	put(t, root, usrDir+"90.yaml", "settings: {acct: 0}")
	const fromUsr = "0 " + usrDir + "90.yaml:1"
	for name, test := range map[string]struct {
		draft map[string][]byte
		wants []string
		err   string
	}{
		"none": {nil, []string{"2 " + dropin + ":1", fromUsr}, ""},
		"a changed drop-in": {
			map[string][]byte{dropin: []byte("\nsettings: {max: 3, acct: 1}")},
			[]string{"3 " + dropin + ":2", fromUsr}, "",
		},
		"a new drop-in": {
			map[string][]byte{runDir + "60.yaml": []byte("settings: {max: 4}")},
			[]string{"4 " + runDir + "60.yaml:1", fromUsr}, "",
		},
		"a removed drop-in": {map[string][]byte{dropin: nil}, []string{"1 " + DefaultMain + ":1", fromUsr}, ""},
		"an invalid drop-in": {
			map[string][]byte{dropin: []byte("settings: {max: x}")}, nil, root + dropin +
				":1:17: settings.max: x is not a whole decimal number (a whole number, 0..2147483647, or auto)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := Source{Root: root, Draft: test.draft}.Load()
			if err != nil {
				if test.err != err.Error() {
					t.Fatalf("error %q, want %q", err, test.err)
				}
				return
			}
			if sorted := slices.Sorted(slices.Values(c.Files)); len(slices.Compact(sorted)) != len(c.Files) {
				t.Errorf("a file is read twice: %q", c.Files)
			}
			var wants []string
			for _, w := range c.Wants {
				wants = append(wants, w.String()+" "+w.Origin.String())
			}
			if diff := cmp.Diff(test.wants, wants); diff != "" || test.err != "" {
				t.Errorf("wanted error %q (-want +got):\n%s", test.err, diff)
			}
		})
	}
}

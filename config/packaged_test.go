package config

import (
	"os"
	"regexp"
	"testing"
)

// TestPackagedFile checks the file that the packages install: it changes nothing as it is, and nothing when every
// comment sign before a key is removed, because its lines are the defaults.
func TestPackagedFile(t *testing.T) {
	text, err := os.ReadFile("../packaging/ctkeeper.yaml")
	if err != nil {
		t.Fatal(err)
	}
	without := load(t, host(t, nil))
	uncommented := regexp.MustCompile(`(?m)^#((?:  )?[a-z_]+:)`).ReplaceAllString(string(text), "$1")
	for name, test := range map[string]struct {
		yaml     string
		defaults bool
	}{
		"as it is":          {string(text), true},
		"without the signs": {uncommented, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := load(t, host(t, map[string]string{DefaultMain: test.yaml}))
			if c.Fingerprint() != without.Fingerprint() || c.UsesDefault != test.defaults || len(c.Warnings) > 0 {
				t.Errorf("wants %v, default %t, warnings %q", c.Wants, c.UsesDefault, c.Warnings)
			}
			for key, origin := range c.Origins {
				if isDefault := origin.File == DefaultOrigin; isDefault != test.defaults && key != keyGuardAllow {
					t.Errorf("%s is of %s", key, origin)
				}
			}
		})
	}
}

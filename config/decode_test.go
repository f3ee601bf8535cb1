package config

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

// TestErrors compares the texts of errors: those of each *.yaml of testdata/bad are in the *.txt
// of the same name.
func TestErrors(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in testdata/bad: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			got := "(nothing)"
			if _, err := (Source{}).Check(file); err != nil {
				got = err.Error()
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".txt", got+"\n")
		})
	}
}

func TestValues(t *testing.T) {
	for name, test := range map[string]struct{ yaml, want string }{
		"number":             {"max: 65536", "max 65536"},
		"zero is no limit":   {"max: 0", "max 0"},
		"alias of a setting": {"buckets: 65536", "hashsize 65536"},
		"kernel's name":      {"nf_conntrack_max: 7", "max 7"},
		"sysctl name":        {"net.netfilter.nf_conntrack_max: 7", "max 7"},
		"slashes":            {"net/netfilter/nf_conntrack_buckets: 512", "hashsize 512"},
		"old sysctl name":    {"net.nf_conntrack_max: 7", "max 7"},
		"at_least":           {"max: {at_least: 7}", "max at_least 7"},
		"at_most":            {"udp_timeout: {at_most: 2m}", "udp_timeout at_most 120"},
		"exactly":            {"acct: {exactly: true}", "acct 1"},
		"false":              {"tcp_loose: False", "tcp_loose 0"},
		"bool as number":     {"tcp_loose: 1", "tcp_loose 1"},
		"hours":              {"udp_timeout: 24h", "udp_timeout 86400"},
		"days":               {"udp_timeout: 5d", "udp_timeout 432000"},
		"days and hours":     {"udp_timeout: 1d12h", "udp_timeout 129600"},
		"mixed":              {"udp_timeout: 1h30m", "udp_timeout 5400"},
		"fraction":           {"udp_timeout: 1.5m", "udp_timeout 90"},
		"milliseconds":       {"udp_timeout: 2000ms", "udp_timeout 2"},
		"seconds":            {"udp_timeout: 30", "udp_timeout 30"},
		"quoted duration":    {`udp_timeout: "30s"`, "udp_timeout 30"},
		"zero seconds":       {"udp_timeout: 0s", "udp_timeout 0"},
		"auto":               {"max: auto", "max 349184"},
		"quoted auto":        {"max: 'auto'", "max 349184"},
		"unknown sysctl":     {"net.netfilter.nf_new: NONE", "net.netfilter.nf_new NONE"},
		"its number as is":   {"net.netfilter.nf_new: 010", "net.netfilter.nf_new 010"},
		"its words":          {`net.netfilter.nf_new: "1  2"`, "net.netfilter.nf_new 1  2"},
		"anchor and alias":   {"udp_timeout: &t 30s\n  icmp_timeout: *t", "udp_timeout 30; icmp_timeout 30"},
		"alias of a policy": {
			"udp_timeout: &t {at_least: 30s}\n  icmp_timeout: *t", "udp_timeout at_least 30; icmp_timeout at_least 30",
		},
		"empty section": {"", "hashsize at_least 349184; max at_least 349184"},
		"catalogue order": {
			"tcp_loose: 1\n  net.netfilter.b: 1\n  net.netfilter.a: 1\n  max: 9",
			"max 9; tcp_loose 1; net.netfilter.a 1; net.netfilter.b 1",
		},
		"carriage returns":    {"max: 9\r\n  tcp_loose: 1\r\n", "max 9; tcp_loose 1"},
		"comment after value": {"max: 9 # nine", "max 9"},
	} {
		t.Run(name, func(t *testing.T) {
			c := load(t, host(t, map[string]string{DefaultMain: "settings:\n  " + test.yaml + "\n"}))
			var got []string
			for _, w := range c.Wants {
				got = append(got, w.Setting.Name+" "+w.String())
			}
			diff(t, "wants", test.want, strings.Join(got, "; "))
		})
	}
}

func TestReferenceExampleIsValid(t *testing.T) {
	c, err := Source{Main: "reference.yaml", MainRequired: true}.Load()
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "warnings", []string(nil), c.Warnings)
	if len(c.Module.Parameters) != len(moduleParameters()) {
		t.Errorf("the example has %d module parameters of %d", len(c.Module.Parameters), len(moduleParameters()))
	}
	for key, origin := range c.Origins {
		if origin.File == DefaultOrigin {
			t.Errorf("the example does not have %s", key)
		}
	}
}

func TestPositions(t *testing.T) {
	root := host(t, map[string]string{
		DefaultMain: "\n# a comment\nsettings:\n  max:\n    at_least: 9\nguard: locked\n",
	})
	_, err := Source{Root: root}.Load()
	var errs Errors
	if !errors.As(err, &errs) || len(errs) != 1 {
		t.Fatalf("errors: %v", err)
	}
	want := Error{
		File: filepath.Join(root, DefaultMain), Line: 6, Column: 8, Key: "guard",
		Problem: "locked is not a mode of the guard", Allowed: "did you mean lock?",
	}
	diff(t, "error", want, errs[0])
	var one Error
	if !errors.As(err, &one) || one != want {
		t.Errorf("errors.As finds %v", one)
	}
}

func TestWarnings(t *testing.T) {
	root := host(t, map[string]string{
		DefaultMain: "settings:\n  net.netfilter.nf_conntrack_tcp_lose: 5\n  hashsize: 65536\n" +
			"module: {parameters: {hashsize: 1024}}\n",
		"/etc/ctkeeper/ctkeeper.yml":     "",
		"/etc/ctkeeper/conf.d/10-a.yml":  "",
		"/run/ctkeeper/conf.d/b.conf":    "",
		"/run/ctkeeper/conf.d/c.yaml~":   "",
		"/run/ctkeeper/conf.d/.swp.yaml": "",
		"/run/ctkeeper/conf.d/README":    "",
	})
	diff(t, "warnings", []string{
		DefaultMain + ":2: net.netfilter.nf_conntrack_tcp_lose is not in the catalogue and is kept as text; " +
			"did you mean tcp_loose?",
		"/etc/ctkeeper/ctkeeper.yml is not read: its name does not end in .yaml",
		"/etc/ctkeeper/conf.d/10-a.yml is not read: its name does not end in .yaml",
		"/run/ctkeeper/conf.d/b.conf is not read: its name does not end in .yaml",
		DefaultMain + ":4: module.parameters.hashsize 1024 is not settings.hashsize 65536 of " + DefaultMain + ":3: " +
			"every load is followed by a resize",
	}, load(t, root).Warnings)
}

func TestLongestText(t *testing.T) {
	long := strings.Repeat("x", 4000)
	if got, wrong := parseText(scalar{text: long}); got != long || wrong != nil {
		t.Errorf("4000 bytes: %v", wrong)
	}
	if _, wrong := parseText(scalar{text: long + "x"}); wrong == nil {
		t.Error("4001 bytes are accepted")
	}
}

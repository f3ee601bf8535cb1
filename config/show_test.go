package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

// ignoreOrigins ignores the origins of a configuration in comparisons.
var ignoreOrigins = cmp.Options{
	sameSetting,
	cmpopts.IgnoreFields(Config{}, "Files", "Hash", "Hidden", "Warnings", "Origins", "UsesDefault"),
	cmpopts.IgnoreFields(sysfs.Want{}, "Origin"),
	cmpopts.IgnoreFields(Parameter{}, "Origin"),
	cmpopts.EquateEmpty(),
}

func show(t testing.TB, c *Config) string {
	t.Helper()
	var b bytes.Buffer
	if err := c.Show(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func exampleHost(t *testing.T) string {
	example, err := os.ReadFile("reference.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return host(t, map[string]string{
		DefaultMain: string(example),
		etcDir + "20-auto.yaml": "settings:\n  max: {at_least: auto}\n" +
			"  net.netfilter.nf_odd: \"a \\t\\\"b\\\" # c: é\\u00a0\"\n",
		usrDir + "20-auto.yaml":       "settings: {}\n",
		etcDir + "30-bad\nname.yaml":  "settings:\n  hashsize: auto\n",
		etcDir + "90-forgotten.yml":   "settings: {}\n",
		runDir + "80-masked.yaml":     "",
		"/etc/ctkeeper/unrelated.txt": "",
	})
}

func TestShow(t *testing.T) { golden(t, "testdata/show.yaml", show(t, load(t, exampleHost(t)))) }

func TestShowLoadsToTheSame(t *testing.T) {
	for name, root := range map[string]string{
		"example": exampleHost(t),
		"default": host(t, nil),
		"nothing": host(t, map[string]string{DefaultMain: ""}),
		"minute":  host(t, map[string]string{DefaultMain: "enforcement: {resync: 61.5s}"}),
		"guard": host(t, map[string]string{DefaultMain: `guard: {mode: lock, allow: [` +
			`kube-proxy.service, -.mount, ':a@b@c.service', 'dev-x\x2dy.swap', "...slice", ---.mount]}`}),
		"observer": host(t, map[string]string{
			DefaultMain: "enforcement: {mode: observe, resync: 1h}\nmodule: {load: 1}",
		}),
	} {
		t.Run(name, func(t *testing.T) {
			first := load(t, root)
			second := load(t, host(t, map[string]string{DefaultMain: show(t, first)}))
			if d := cmp.Diff(first, second, ignoreOrigins); d != "" {
				t.Errorf("(-loaded +shown and loaded):\n%s", d)
			}
			if first.Fingerprint() != second.Fingerprint() {
				t.Error("the fingerprints differ")
			}
		})
	}
}

func TestFingerprint(t *testing.T) {
	of := func(yaml string) string {
		return load(t, host(t, map[string]string{DefaultMain: yaml})).Fingerprint()
	}
	base := of("settings: {max: 5}")
	if base != of("# moved\n\nsettings:\n  nf_conntrack_max: {exactly: 5}\nguard: off\n") {
		t.Error("the same values in another form have another fingerprint")
	}
	for _, other := range []string{
		"settings: {max: 6}", "settings: {max: {at_least: 5}}", "settings: {max: 5, acct: 0}",
		"settings: {expect_max: 5}",
		"settings: {max: 5}\nmodule: {load: true}", "settings: {max: 5}\nmodule: {parameters: {acct: 1}}",
		"settings: {max: 5}\nenforcement: {mode: observe}", "settings: {max: 5}\nenforcement: {resync: 6s}",
		"settings: {max: 5}\nguard: watch", "settings: {max: 5}\nguard: lock",
		"settings: {max: 5}\nguard: {allow: [a.service]}",
	} {
		if base == of(other) {
			t.Errorf("%q has the fingerprint of max: 5", other)
		}
	}
}

func TestView(t *testing.T) {
	text, err := json.MarshalIndent(load(t, exampleHost(t)).View(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/view.json", string(text)+"\n")
	text, err = json.Marshal(load(t, host(t, map[string]string{DefaultMain: ""})).View())
	if err != nil || strings.Contains(string(text), "null,") {
		t.Errorf("an empty configuration: %s, %v", text, err)
	}
}

// fullDisk is a writer that fails.
type fullDisk struct{}

var errFull = errors.New("no space")

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }

func TestShowReportsTheWriter(t *testing.T) {
	if err := load(t, host(t, nil)).Show(fullDisk{}); !errors.Is(err, errFull) {
		t.Errorf("Show: %v", err)
	}
}

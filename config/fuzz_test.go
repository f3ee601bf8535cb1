package config

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/host/printable"
)

// FuzzParse parses any bytes as the main file: nothing panics, every error has a place or a
// cause, and Show writes a valid configuration as a file that loads to the same.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range append(files, "reference.yaml", "default.yaml") {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("guard: lock\nsettings: {max: 5}"))
	f.Add([]byte("guard: {mode: watch}\nenforcement: {mode: observe}"))
	f.Add([]byte("guard:\n  mode: 'lock'\n" +
		"  allow: [-.mount, 'dev-x\\x2dy.swap', \"a@b@:c.service\", ...scope, ---.slice]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		first, err := loadAlone(data)
		if err != nil {
			var errs Errors
			if !errors.As(err, &errs) || len(errs) == 0 {
				t.Fatalf("not Errors: %v", err)
			}
			for _, e := range errs {
				if e.Problem == "" || e.Line < 0 || e.Column < 0 || e.Line == 0 && e.Err == nil {
					t.Errorf("an error without place and cause: %#v", e)
				}
			}
			return
		}
		shown := show(t, first)
		second, err := loadAlone([]byte(shown))
		if err != nil {
			t.Fatalf("Show wrote an invalid configuration: %v\n%s", err, shown)
		}
		if d := cmp.Diff(first, second, ignoreOrigins); d != "" {
			t.Errorf("(-loaded +shown and loaded):\n%s\n%s", d, shown)
		}
	})
}

// FuzzUnit compares parseUnit with the grammar of systemd.unit(5).
func FuzzUnit(f *testing.F) {
	for _, name := range []string{
		"kube-proxy.service", "a@b.service", "a@.service", "@.slice", "-.slice", `x\x2dy.swap`, "timer", "a.timer",
		".a", "é.scope", "\xd4", "",
	} {
		f.Add(name)
	}
	grammar := regexp.MustCompile(`^[-A-Za-z0-9:_.\\]+(@[-A-Za-z0-9:_.\\@]+)?` +
		`\.(service|scope|slice|socket|mount|swap)$`)
	f.Fuzz(func(t *testing.T, name string) {
		got, wrong := parseUnit(scalar{text: name})
		valid := grammar.MatchString(name) && len(name) <= 255 && name != "-.slice"
		if valid != (wrong == nil) || valid && got != name {
			t.Errorf("parseUnit(%q) = %q, %v", name, got, wrong)
		}
		if wrong == nil {
			return
		}
		text := wrong.problem + wrong.allowed
		if wrong.problem == "" || wrong.allowed == "" || printable.Line(text) != text {
			t.Errorf("%q: no message for a terminal: %v", name, *wrong)
		}
	})
}

// loadAlone returns the configuration of one file's content, on a host with 8 GiB.
func loadAlone(data []byte) (*Config, error) {
	d := decode("f.yaml", "f.yaml", data)
	r := resolver{ram: 8 * gib, layer: merge([]layer{d.layer})}
	c := r.config()
	return c, append(d.errs, r.errs...).orNil()
}

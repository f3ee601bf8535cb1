package config

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzParse feeds any bytes as the main file: nothing panics, every error says
// what is wrong, and what is valid is shown as a file that loads to the same.
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
	f.Add([]byte("guard:\n  mode: 'lock'\n  allow: [-.mount, 'dev-x\\x2dy.swap', \"a@b@:c.service\", ...scope, ---.slice]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		first, err := alone(data)
		if err != nil {
			var errs Errors
			if !errors.As(err, &errs) || len(errs) == 0 {
				t.Fatalf("not Errors: %v", err)
			}
			for _, e := range errs {
				if e.Problem == "" || e.Line < 0 || e.Column < 0 || e.Line == 0 && e.Err == nil {
					t.Errorf("neither place nor cause: %#v", e)
				}
			}
			return
		}
		shown := show(t, first)
		second, err := alone([]byte(shown))
		if err != nil {
			t.Fatalf("what is shown is refused: %v\n%s", err, shown)
		}
		if d := cmp.Diff(first, second, asked); d != "" {
			t.Errorf("(-loaded +shown and loaded):\n%s\n%s", d, shown)
		}
	})
}

// FuzzUnit holds what is accepted as a unit against the grammar of systemd.unit(5).
func FuzzUnit(f *testing.F) {
	for _, name := range []string{"kube-proxy.service", "a@b.service", "a@.service", "@.slice", "-.slice", `x\x2dy.swap`, "timer", "a.timer", ".a", "é.scope", "\xd4", ""} {
		f.Add(name)
	}
	grammar := regexp.MustCompile(`^[-A-Za-z0-9:_.\\]+(@[-A-Za-z0-9:_.\\@]+)?\.(service|scope|slice|socket|mount|swap)$`)
	f.Fuzz(func(t *testing.T, name string) {
		got, wrong := unit(scalar{text: name})
		valid := grammar.MatchString(name) && len(name) <= 255 && name != "-.slice"
		if valid != (wrong == nil) || valid && got != name {
			t.Errorf("%q gives %q, %v", name, got, wrong)
		}
		if wrong != nil && (wrong.problem == "" || wrong.allowed == "" || printable(wrong.problem+wrong.allowed) != wrong.problem+wrong.allowed) {
			t.Errorf("%q: no message for a terminal: %v", name, *wrong)
		}
	})
}

// alone is the configuration of one file's content, on a host of 8 GiB.
func alone(data []byte) (*Config, error) {
	said, _, errs := decode("f.yaml", "f.yaml", data)
	r := resolver{ram: memory{total: 8 * gib}, layer: merge([]layer{said})}
	c := r.config()
	return c, append(errs, r.errs...).orNil()
}

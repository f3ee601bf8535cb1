package config

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

func TestGuard(t *testing.T) {
	const a, b = etcDir + "a.yaml", etcDir + "b.yaml"
	lockA := "guard: {mode: lock, allow: [a.service]}"
	units := func(names ...string) []string { return names }
	for name, test := range map[string]struct {
		a, b        string // the contents of two drop-ins
		want        Guard
		mode, allow string
	}{
		"nothing":       {"", "", Guard{Mode: GuardOff}, DefaultOrigin, DefaultOrigin},
		"off":           {"guard: off", "", Guard{Mode: GuardOff}, a + ":1", DefaultOrigin},
		"off in quotes": {"guard: 'off'", "", Guard{Mode: GuardOff}, a + ":1", DefaultOrigin},
		"watch":         {"\nguard: watch", "", Guard{Mode: GuardWatch}, a + ":2", DefaultOrigin},
		"lock":          {`guard: "lock"`, "", Guard{Mode: GuardLock}, a + ":1", DefaultOrigin},
		"a section":     {"guard:\n  mode: lock", "", Guard{Mode: GuardLock}, a + ":2", DefaultOrigin},
		"without keys":  {"guard:\n  # mode: lock", "", Guard{Mode: GuardOff}, DefaultOrigin, DefaultOrigin},
		"units alone": {
			"guard: {allow: [a.service]}", "", Guard{GuardOff, units("a.service")}, DefaultOrigin, a + ":1",
		},
		"a section, later": {"guard: lock", "guard:", Guard{Mode: GuardLock}, a + ":1", DefaultOrigin},
		"units": {
			"guard:\n  mode: lock\n  allow:\n    - b.service\n    - a.scope", "",
			Guard{GuardLock, units("a.scope", "b.service")}, a + ":2", a + ":4",
		},
		"an anchored list": {
			"guard: {mode: lock, allow: [&u a.service, b.service]}", "",
			Guard{GuardLock, units("a.service", "b.service")}, a + ":1", a + ":1",
		},
		"a mode, later": {
			"guard: {mode: watch, allow: [a.service]}", "guard: lock",
			Guard{GuardLock, units("a.service")}, b + ":1", a + ":1",
		},
		"units, later": {
			"guard: lock", "guard: {allow: [a.service]}", Guard{GuardLock, units("a.service")}, a + ":1", b + ":1",
		},
		"other units, later": {
			lockA, "guard: {allow: [b.service]}", Guard{GuardLock, units("b.service")}, a + ":1", b + ":1",
		},
		"no units, later": {lockA, "guard: {allow: []}", Guard{Mode: GuardLock}, a + ":1", b + ":1"},
		"off, later":      {lockA, "guard: off", Guard{GuardOff, units("a.service")}, b + ":1", a + ":1"},
	} {
		t.Run(name, func(t *testing.T) {
			c := load(t, host(t, map[string]string{a: test.a, b: test.b}))
			diff(t, "guard", test.want, c.Guard)
			diff(t, "origin of the mode", test.mode, c.Origins["guard.mode"].String())
			diff(t, "origin of the units", test.allow, c.Origins["guard.allow"].String())
		})
	}
}

func TestUnits(t *testing.T) {
	long := strings.Repeat("x", maxUnitName-len(".slice")) + ".slice"
	for _, name := range []string{
		"kube-proxy.service", "kubelet.slice", "init.scope", "docker-4f0c.scope", "dbus.socket", "user@1000.service",
		"a@b@c.service", "-.mount", `dev-disk-by\x2duuid-1.swap`, "dbus-:1.2-org.a@0.service", ".a.service",
		"NetworkManager.service", long,
	} {
		if got, wrong := parseUnit(scalar{text: name}); got != name || wrong != nil {
			t.Errorf("%s: %q, %v", name, got, wrong)
		}
	}
	for _, name := range []string{
		"", "a", "service", ".service", "a.", "a.service.", "a.SERVICE", "@a.service", "a@.service", "-.slice",
		"a.path", "a b.service", "x" + long, "a.service\n", "a\x00.service", "é.service", "a/b.service",
	} {
		if got, wrong := parseUnit(scalar{text: name}); wrong == nil {
			t.Errorf("%q is accepted as %q", name, got)
		}
	}
}

func TestMostUnits(t *testing.T) {
	units := make([]string, maxAllowed)
	for i := range units {
		units[i] = fmt.Sprintf("unit-%02d.service", i)
	}
	c := load(t, host(t, map[string]string{DefaultMain: "guard: {allow: [" + strings.Join(units, ", ") + "]}"}))
	diff(t, "units", units, c.Guard.Allow)
}

func TestGuardWarnings(t *testing.T) {
	const (
		noEffect = "guard.allow has no effect without guard.mode hold or lock: no writes are blocked"
		observes = "guard.mode lock only watches, because enforcement.mode is observe in " + DefaultMain + ":2"
	)
	for name, test := range map[string]struct {
		yaml string
		want []string
	}{
		"off":                  {"settings: {acct: 1}\n\nguard: off", nil},
		"watch":                {"settings: {acct: 1}\nenforcement: {mode: observe}\nguard: watch", nil},
		"lock":                 {"settings: {max: 5}\n\nguard: {mode: lock, allow: [a.service]}", nil},
		"hold":                 {"settings: {max: 5}\n\nguard: {mode: hold, allow: [a.service]}", nil},
		"lock while observing": {"settings: {max: 5}\nenforcement: {mode: observe}\nguard: lock", []string{observes}},
		"units without lock": {
			"settings: {max: 5}\n\nguard: {mode: watch, allow: [a.service]}", []string{noEffect},
		},
		"units without mode":    {"settings: {max: 5}\n\nguard: {allow: [a.service]}", []string{noEffect}},
		"no units, and no lock": {"settings: {max: 5}\n\nguard: {allow: []}", nil},
	} {
		t.Run(name, func(t *testing.T) {
			for i := range test.want {
				test.want[i] = DefaultMain + ":3: " + test.want[i]
			}
			diff(t, "warnings", test.want, load(t, host(t, map[string]string{DefaultMain: test.yaml})).Warnings)
		})
	}
}

func TestShowGuard(t *testing.T) {
	c := load(t, host(t, map[string]string{
		DefaultMain:       "settings: {max: 5}\nguard: {allow: [tuned.service, 'dev-x\\x2dy.swap']}\n",
		etcDir + "a.yaml": "\nguard: lock\n",
	}))
	_, shown, _ := strings.Cut(show(t, c), "resync: 5s  # (default)\n")
	diff(t, "shown", `guard:
  mode: lock  # /etc/ctkeeper/conf.d/a.yaml:2
  allow:  # /etc/ctkeeper/ctkeeper.yaml:2
    - dev-x\x2dy.swap
    - tuned.service
`, shown)
	diff(t, "view", GuardView{
		Mode:  Value[GuardMode]{GuardLock, tree.Place{File: etcDir + "a.yaml", Line: 2}},
		Allow: Value[[]string]{[]string{`dev-x\x2dy.swap`, "tuned.service"}, tree.Place{File: DefaultMain, Line: 2}},
	}, c.View().Guard)
	diff(t, "view of no units", []string{}, load(t, host(t, nil)).View().Guard.Allow.Value)
}

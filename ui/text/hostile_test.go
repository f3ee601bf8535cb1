package text_test

import (
	"strings"
	"testing"
	"unicode"

	"github.com/ctkeeper/ctkeeper/host/capability"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/sysfs"
	"github.com/ctkeeper/ctkeeper/ui/text"
)

// Values, names of files and errors come from drop-ins and from the kernel: a terminal must not
// obey them, and a line stays a line.
func TestHostileText(t *testing.T) {
	const evil = "\x1b]0;owned\x07\x1b[2J\r\u009b31m\u202e\xff\x00\nmax is fine"
	by := sysfs.Writer{PID: 7, Comm: evil, Unit: evil, Container: evil, Pod: evil}
	setting := reconcile.SettingStatus{
		Comparison: reconcile.Comparison{Name: "n" + evil, Want: sysfs.TextValue(evil), Policy: sysfs.Exactly, Live: sysfs.TextValue(evil), State: reconcile.Contested, Error: evil, Origin: tree.Place{File: evil}},
		LastDrift:  &reconcile.Drift{At: noon, Found: sysfs.TextValue(evil), Cause: reconcile.CauseWrite, By: &by},
	}
	parameter := status.Parameter{Name: evil, Want: evil, Live: evil, Origin: tree.Place{File: evil}, State: status.ParameterNeedsReload, HeldBy: []string{evil}}
	unknown := parameter
	unknown.State, unknown.Error = status.ParameterUnknown, evil
	document := status.Document{
		Daemon:   status.Daemon{Running: true, Config: status.Config{Error: evil, Files: []string{evil}}},
		Module:   status.Module{Name: "nf_conntrack", State: "loaded", Parameters: []status.Parameter{parameter, unknown}},
		Table:    status.Table{Figures: pressed().Figures, ByHelper: map[string]int64{evil: 1}},
		Settings: []reconcile.SettingStatus{setting},
	}
	failed := document
	failed.Daemon.Error = evil
	missing := capability.Missing{What: evil, Why: evil, Hint: evil}
	refused := status.RefusedWrites{Setting: evil, Count: 1}
	refused.Last.Value, refused.Last.By = evil, by
	guarded := func(state status.GuardState, missing capability.Missing) status.Document {
		s := document
		s.Guard = status.Guard{
			Mode: "lock", State: state, Error: "x: " + evil, Names: []string{evil}, Locked: []string{evil}, Missing: []capability.Missing{missing}, Note: evil,
			Allow: []string{evil}, Refused: []status.RefusedWrites{refused},
		}
		return s
	}
	unit := document
	unit.Settings = []reconcile.SettingStatus{setting}
	unit.Settings[0].LastDrift = &reconcile.Drift{At: noon, Found: sysfs.Number(1), Cause: reconcile.CauseWrite, By: &sysfs.Writer{Unit: evil}}
	for name, do := range map[string]func(text.Printer) error{
		"status":            func(p text.Printer) error { return p.Status(document) },
		"status, no answer": func(p text.Printer) error { return p.Status(failed) },
		"diff":              func(p text.Printer) error { return p.Diff(document) },
		"apply":             func(p text.Printer) error { return p.Applied(document) },
		"events": func(p text.Printer) error {
			return p.Event(reconcile.Event{At: noon, Message: evil + by.String(), By: &by})
		},
		"status, watching": func(p text.Printer) error { return p.Status(guarded(status.GuardWatching, missing)) },
		"status, locked":   func(p text.Printer) error { return p.Status(guarded(status.GuardLocked, missing)) },
		"status, no guard": func(p text.Printer) error { return p.Status(guarded(status.GuardUnavailable, missing)) },
		"status, no right": func(p text.Printer) error {
			return p.Status(guarded(status.GuardUnavailable, capability.Missing{Why: "other", Hint: evil}))
		},
		"status, state":    func(p text.Printer) error { return p.Status(guarded(evil, missing)) },
		"status, unit":     func(p text.Printer) error { return p.Status(unit) },
		"status in colour": func(p text.Printer) error { p.Colour = true; return p.Status(document) },
	} {
		out := string(print(t, "table", do))
		for _, ours := range []string{"\x1b[31m", "\x1b[33m", "\x1b[32m", "\x1b[0m"} {
			if strings.HasSuffix(name, "colour") {
				out = strings.ReplaceAll(out, ours, "")
			}
		}
		for line := range strings.Lines(out) {
			line = strings.TrimSuffix(line, "\n")
			if i := strings.IndexFunc(line, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }); i >= 0 {
				t.Errorf("%s: a terminal would obey %q", name, line)
			}
			if strings.HasPrefix(line, "max is fine") {
				t.Errorf("%s: a value makes a line of its own: %q", name, line)
			}
		}
	}
}

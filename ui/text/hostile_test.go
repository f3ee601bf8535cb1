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

// isUnsafe reports whether a terminal may interpret a character instead of showing it.
func isUnsafe(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }

const evil = "\x1b]0;owned\x07\x1b[2J\r\u009b31m\u202e\xff\x00\nmax is fine"

func evilWriter() *sysfs.Writer {
	return &sysfs.Writer{PID: 7, Comm: evil, Unit: evil, Container: evil, Pod: evil}
}

// evilDocument has hostile text in each field of the daemon, the module, the table and a setting.
func evilDocument() status.Document {
	setting := reconcile.SettingStatus{
		Comparison: reconcile.Comparison{
			Name:   "n" + evil,
			Want:   sysfs.TextValue(evil),
			Policy: sysfs.Exactly,
			Live:   sysfs.TextValue(evil),
			State:  reconcile.Contested,
			Error:  evil,
			Origin: tree.Place{File: evil},
		},
		LastDrift: &reconcile.Drift{
			At:    noon,
			Found: sysfs.TextValue(evil),
			Cause: reconcile.CauseWrite,
			By:    evilWriter(),
		},
	}
	parameter := status.Parameter{
		Name:   evil,
		Want:   evil,
		Live:   evil,
		Origin: tree.Place{File: evil},
		State:  status.ParameterNeedsReload,
		HeldBy: []string{evil},
	}
	unknown := parameter
	unknown.State, unknown.Error = status.ParameterUnknown, evil
	return status.Document{
		Daemon: status.Daemon{Running: true, Config: status.Config{Error: evil, Files: []string{evil}}},
		Module: status.Module{
			Name:       "nf_conntrack",
			State:      "loaded",
			Parameters: []status.Parameter{parameter, unknown},
		},
		Table:    status.Table{Figures: pressed().Figures, ByHelper: map[string]int64{evil: 1}},
		Settings: []reconcile.SettingStatus{setting},
	}
}

// evilGuard is evilDocument with a guard in a state, and hostile text in each of its other fields.
func evilGuard(state status.GuardState, missing capability.Missing) status.Document {
	refused := status.BlockedWrites{Setting: evil, Count: 1}
	refused.Last.Value, refused.Last.By = evil, *evilWriter()
	s := evilDocument()
	s.Guard = status.Guard{
		Mode:    "lock",
		State:   state,
		Error:   "x: " + evil,
		Names:   []string{evil},
		Locked:  []string{evil},
		Missing: []capability.Missing{missing},
		Note:    evil,
		Allow:   []string{evil},
		Refused: []status.BlockedWrites{refused},
	}
	return s
}

// Values, file names and errors come from drop-ins and from the kernel. Their control characters must not reach the
// terminal, and their newlines must not start a line.
func TestHostileText(t *testing.T) {
	document := evilDocument()
	failed := document
	failed.Daemon.Error = evil
	unit := evilDocument()
	unit.Settings[0].LastDrift = &reconcile.Drift{
		At:    noon,
		Found: sysfs.Number(1),
		Cause: reconcile.CauseWrite,
		By:    &sysfs.Writer{Unit: evil},
	}
	missing := capability.Missing{What: evil, Why: evil, Hint: evil}
	for name, do := range map[string]func(text.Printer) error{
		"status":            func(p text.Printer) error { return p.Status(document) },
		"status, no answer": func(p text.Printer) error { return p.Status(failed) },
		"diff":              func(p text.Printer) error { return p.Diff(document) },
		"apply":             func(p text.Printer) error { return p.Applied(document) },
		"events": func(p text.Printer) error {
			return p.Event(reconcile.Event{At: noon, Message: evil + evilWriter().String(), By: evilWriter()})
		},
		"status, watching": func(p text.Printer) error { return p.Status(evilGuard(status.GuardWatching, missing)) },
		"status, locked":   func(p text.Printer) error { return p.Status(evilGuard(status.GuardLocked, missing)) },
		"status, no guard": func(p text.Printer) error { return p.Status(evilGuard(status.GuardUnavailable, missing)) },
		"status, missing capability": func(p text.Printer) error {
			return p.Status(evilGuard(status.GuardUnavailable, capability.Missing{Why: "other", Hint: evil}))
		},
		"status, state":    func(p text.Printer) error { return p.Status(evilGuard(evil, missing)) },
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
			if strings.ContainsFunc(line, isUnsafe) {
				t.Errorf("%s: %q has control characters", name, line)
			}
			if strings.HasPrefix(line, "max is fine") {
				t.Errorf("%s: a value starts a line: %q", name, line)
			}
		}
	}
}

package text

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
)

// guard says what the guard does, and what it cannot do here; nothing where none is asked
// for.
func (p Printer) guard(w io.Writer, s status.Document) {
	g := s.Guard
	if !g.IsConfigured() {
		return
	}
	var out strings.Builder
	what := "guard:"
	say := func(lines ...string) {
		for _, line := range lines {
			sayLine(&out, "%-8s %s", what, line)
			what = ""
		}
	}
	switch g.State {
	case status.GuardWatching:
		say(wrap(s.GuardActivity() + ", " + names(g.Names))...)
	case status.GuardLocked:
		say(wrap(locked(g) + "; " + p.refusals(g))...)
		say(wrap(names(g.Names))...)
		say(wrap(g.Note)...)
	case status.GuardUnavailable:
		say(unavailable(g)...)
	default:
		say(s.GuardActivity())
	}
	if len(g.Allow) > 0 && g.WantsLock() {
		say(wrap("may write: " + strings.Join(g.Allow, ", "))...)
	}
	if g.State != status.GuardUnavailable {
		for _, m := range g.MergeMissing() {
			say(wrap(without(m))...)
		}
	}
	text := out.String()
	if p.Colour { // it stands first, and what a host says of it behind
		text = strings.Replace(text, notAvailable, yellow+notAvailable+reset, 1)
	}
	_, _ = io.WriteString(w, text)
}

const notAvailable = "NOT AVAILABLE"

// names says what the guard can tell.
func names(of []string) string {
	var writers, parts []string
	for _, name := range of {
		switch name {
		case "comm":
			writers = append(writers, "command")
		case "module":
			parts = append(parts, "who loads the module")
		case "sysfs":
			parts = append(parts, "who writes hashsize through sysfs")
		default: // pid, unit
			writers = append(writers, name)
		}
	}
	if len(writers) > 0 {
		parts = append([]string{"the " + and(writers, "") + " of writers"}, parts...)
	}
	if len(parts) == 0 {
		return "names nobody"
	}
	return "names " + and(parts, ",")
}

// and joins words as people do; comma stands before the last "and".
func and(words []string, comma string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + comma + " and " + words[last]
}

// locked says which settings refuse foreign writes.
func locked(s status.Guard) string {
	kept := s.Locked
	switch len(kept) {
	case 0:
		return "locked: of the settings that are kept none can refuse writes"
	case 1:
		return "locked: " + kept[0] + " refuses foreign writes"
	}
	return "locked: " + strings.Join(kept, ", ") + " refuse foreign writes"
}

// refusals says how many writes were refused, and all about the last of them.
func (p Printer) refusals(g status.Guard) string {
	count, last := g.Refusals()
	if count == 0 {
		return "none refused"
	}
	layout := time.TimeOnly
	if !p.today(last.Last.At) {
		layout = time.DateTime
	}
	return fmt.Sprintf("%d refused, last %s to %s by %s at %s", count, last.Setting, orDash(last.Last.Value), last.Last.By, p.at(last.Last.At, layout))
}

// unavailable says why there is no guard and, in lines of their own that can be copied, how to
// have it.
func unavailable(g status.Guard) []string {
	why, rest := g.Error, []string(nil)
	for _, m := range g.Missing {
		switch {
		case !strings.Contains(g.Error, m.Why):
			rest = append(rest, wrap(without(m))...)
		case m.Hint != "":
			why = strings.TrimRight(strings.ReplaceAll(why, m.Hint, ""), "; ")
			rest = append(rest, m.Hint)
		}
	}
	return append(wrap(notAvailable+": "+why), rest...)
}

// without is what the guard cannot do, why, and how to have it.
func without(m status.Missing) string {
	text := "without " + m.What + ": " + m.Why
	if m.Hint != "" {
		text += "; " + m.Hint
	}
	return text
}

// longestName is what a table has for who brought a drift: as much as a command may have
// (TASK_COMM_LEN, less its NUL).
const longestName = 15

// who brought a drift, shortly, or else what did.
func who(d reconcile.Drift) string {
	text := ""
	if d.By != nil {
		text = orElse(d.By.Comm, d.By.Unit)
	}
	if text == "" || d.Cause == reconcile.CauseModuleLoad { // a load is not a write
		text = strings.TrimSpace(strings.TrimPrefix(string(d.Cause), "module-") + " " + text)
	}
	if utf8.RuneCountInString(text) > longestName {
		text = string([]rune(text)[:longestName-1]) + "…"
	}
	return text
}

// opponents names who contests a setting, one a line.
func opponents(w io.Writer, settings []reconcile.Setting) {
	for _, s := range settings {
		if s.State == reconcile.Contested && s.LastDrift != nil && s.LastDrift.By != nil {
			sayLine(w, "%s: contested by %s", s.Name, strings.Join(strings.Fields(s.LastDrift.By.String()), " "))
		}
	}
}

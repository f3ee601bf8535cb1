package text

import (
	"fmt"
	"io"
	"slices"
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
		say(wrap(watching(s) + ", " + names(g.Names))...)
	case status.GuardLocked:
		say(wrap(locked(g) + "; " + p.refusals(g))...)
		say(wrap(names(g.Names))...)
		say(wrap(g.Note)...)
	case status.GuardUnavailable:
		say(unavailable(g)...)
	default:
		say(inactive(s))
	}
	if len(g.Allow) > 0 && g.WantsLock() {
		say(wrap("may write: " + strings.Join(g.Allow, ", "))...)
	}
	if g.State != status.GuardUnavailable {
		for _, m := range together(g.Missing) {
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

// watching says why a lock only watches, where it does.
func watching(s status.Document) string {
	switch {
	case !s.Guard.WantsLock():
		return "watching"
	case s.Daemon.Mode == reconcile.Observe:
		return "watching, refuses nothing in mode observe"
	}
	return "watching, refuses nothing"
}

// inactive is a guard that no daemon keeps, or does not keep yet.
func inactive(s status.Document) string {
	text := string(s.Guard.Mode) + " is asked for; "
	if !s.Daemon.Running {
		return text + "only a running daemon keeps it"
	}
	return text + "it is not in force"
}

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
	count := 0
	for _, r := range g.Refused {
		count += r.Count
	}
	if count == 0 {
		return "none refused"
	}
	last := slices.MaxFunc(g.Refused, func(a, b status.RefusedWrites) int { return a.Last.At.Compare(b.Last.At) })
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

// together makes one of all that one reason keeps away.
func together(missing []status.Missing) []status.Missing {
	var out []status.Missing
	for _, m := range missing {
		i := slices.IndexFunc(out, func(o status.Missing) bool { return o.Why == m.Why && o.Hint == m.Hint })
		if i < 0 {
			out = append(out, m)
		} else {
			out[i].What += ", " + m.What
		}
	}
	return out
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

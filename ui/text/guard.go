package text

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/ctkeeper/ctkeeper/host/capability"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
)

// guard writes what the guard does and what it cannot do on this host; nothing where none is configured.
func (p Printer) guard(w io.Writer, s status.Document) {
	g := s.Guard
	if !g.IsConfigured() {
		return
	}
	var lines []string
	switch g.State {
	case status.GuardWatching:
		lines = wrap(s.GuardActivity() + ", " + reported(g.Names))
	case status.GuardLocked, status.GuardHolding:
		lines = slices.Concat(wrap(p.blocked(g)), wrap(reported(g.Names)), wrap(g.Note))
	case status.GuardUnavailable:
		lines = unavailable(g)
	default:
		lines = []string{s.GuardActivity()}
	}
	if len(g.Allow) > 0 && g.WantsBlock() {
		lines = append(lines, wrap("may write: "+strings.Join(g.Allow, ", "))...)
	}
	if g.State != status.GuardUnavailable {
		for _, m := range g.MergeMissing() {
			lines = append(lines, wrap(without(m))...)
		}
	}
	var out strings.Builder
	printSection(&out, "guard:", lines)
	text := out.String()
	if p.Colour { // the first one is ours, the others are a host's text
		text = strings.Replace(text, notAvailable, yellow+notAvailable+reset, 1)
	}
	_, _ = io.WriteString(w, text)
}

const notAvailable = "NOT AVAILABLE"

// reported renders what the guard can report of writers, from Guard.Names.
func reported(names []string) string {
	var writers, parts []string
	for _, name := range names {
		switch name {
		case "comm":
			writers = append(writers, "command")
		case "netns":
			parts = append(parts, "the network namespace of writes")
		case "module":
			parts = append(parts, "who loads the module")
		case "sysfs":
			parts = append(parts, "who writes hashsize through sysfs")
		default: // pid, unit
			writers = append(writers, name)
		}
	}
	if len(writers) > 0 {
		parts = append([]string{"the " + joinWithAnd(writers, "") + " of writers"}, parts...)
	}
	if len(parts) == 0 {
		return "cannot identify writers"
	}
	return "reports " + joinWithAnd(parts, ",")
}

// joinWithAnd joins words by commas and a last "and", before which lastComma stands.
func joinWithAnd(words []string, lastComma string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + lastComma + " and " + words[last]
}

// blocked renders which settings refuse or absorb foreign writes, how many they did, and the last of them.
func (p Printer) blocked(g status.Guard) string {
	b, _ := g.Blocking()
	text := string(g.State) + ": " + strings.Join(b.Settings, ", ")
	switch len(b.Settings) {
	case 0:
		text += "none of the configured settings can " + b.Verb + " writes; "
	case 1:
		text += " " + b.Verb + "s foreign writes; "
	default:
		text += " " + b.Verb + " foreign writes; "
	}
	count, last := b.Count()
	if count == 0 {
		return text + "none " + b.Participle
	}
	layout := time.TimeOnly
	if !p.isToday(last.Last.At) {
		layout = time.DateTime
	}
	return text + fmt.Sprintf("%d %s, last %s to %s by %s at %s", count, b.Participle,
		last.Setting, cmp.Or(last.Last.Value, "-"), last.Last.By, p.at(last.Last.At, layout))
}

// unavailable renders why there is no guard, and how to get it in lines of their own, so that they can be copied.
func unavailable(g status.Guard) []string {
	reason, rest := g.Error, []string(nil)
	for _, m := range g.Missing {
		switch {
		case !strings.Contains(g.Error, m.Why):
			rest = append(rest, wrap(without(m))...)
		case m.Hint != "":
			reason = strings.TrimRight(strings.ReplaceAll(reason, m.Hint, ""), "; ")
			rest = append(rest, m.Hint)
		}
	}
	return append(wrap(notAvailable+": "+reason), rest...)
}

// without renders what the guard cannot do, why, and how to get it.
func without(m capability.Missing) string {
	text := "without " + m.What + ": " + m.Why
	if m.Hint != "" {
		text += "; " + m.Hint
	}
	return text
}

// writerOrCause renders who caused a drift or, where that is not known, what did.
func writerOrCause(d reconcile.Drift) string {
	text := status.WriterName(d)
	if text == "" || d.Cause == reconcile.CauseModuleLoad { // a load is not a write
		text = strings.TrimSpace(strings.TrimPrefix(string(d.Cause), "module-") + " " + text)
	}
	return text
}

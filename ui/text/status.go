package text

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// Status writes a status document.
func (p Printer) Status(s status.Document) error {
	return p.Document(s, func(w io.Writer) {
		p.head(w, s)
		p.settings(w, s.Settings)
	})
}

func (p Printer) head(w io.Writer, s status.Document) {
	say := func(what, format string, args ...any) {
		sayLine(w, "%-8s "+format, append([]any{what}, args...)...)
	}
	switch {
	case s.Daemon.Error != "":
		say("daemon:", "%s", s.Daemon.Error)
		say("", "this is what the kernel says")
	case s.Daemon.Running:
		say("daemon:", "running since %s, pid %d, mode %s", p.at(s.Daemon.Since, time.DateTime), s.Daemon.PID, s.Daemon.Mode)
	default:
		say("daemon:", "not running; this is what the kernel says")
	}
	files := strings.Join(s.Daemon.Config.Files, ", ")
	switch {
	case files != "":
	case len(s.Settings) == 0:
		files = "nothing: every file is empty or masked"
	default:
		files = "embedded default"
	}
	say("config:", "%s", files)
	if !s.Daemon.Config.OK {
		say("", "REFUSED, the last good one is in force:")
		for line := range strings.SplitSeq(s.Daemon.Config.Error, "\n") {
			say("", "  %s", line)
		}
	}
	module := fmt.Sprintf("%s %s", s.Module.Name, s.Module.State)
	if loads := s.Module.LoadsSeen(); loads != "" {
		module += ", " + loads
	}
	say("module:", "%s", module)
	reloads(w, s.Module)
	untold(w, s.Module)
	p.guard(w, s)
	p.table(w, s.Table)
	_, _ = fmt.Fprintln(w)
}

// reloads says which parameters need the module loaded anew, one a line.
func reloads(w io.Writer, m status.Module) {
	for _, p := range m.Parameters {
		if p.State == status.ParameterNeedsReload {
			sayLine(w, "%-8s %s is %s, wanted %s (%s): %s", "reload:", p.Name, p.Live, p.Want, p.Origin, wayToReload(m, p))
		}
	}
}

// untold says of which parameters it cannot be told whether they need that.
func untold(w io.Writer, m status.Module) {
	for _, p := range m.Parameters {
		if p.State == status.ParameterUnknown && m.State != kmod.Absent {
			sayLine(w, "%-8s %s, wanted %s (%s), may need it: %s", "reload:", p.Name, p.Want, p.Origin, p.Error)
		}
	}
}

// wayToReload is what a parameter needs, with what stands in the way.
func wayToReload(m status.Module, p status.Parameter) string {
	switch {
	case m.State == kmod.BuiltIn:
		return m.Name + " is built in: needs the kernel command line and a reboot"
	case len(p.HeldBy) == 0:
		return "needs " + m.Name + " loaded anew"
	}
	return "needs " + m.Name + " loaded anew; held by " + strings.Join(p.HeldBy, ", ")
}

func (p Printer) settings(w io.Writer, settings []reconcile.Setting) {
	if len(settings) == 0 {
		_, _ = fmt.Fprintln(w, "No settings are asked for.")
		return
	}
	var rows []string
	for _, s := range settings {
		rows = append(rows, row(s.Name, want(s), orDash(s.Now), string(s.State), strconv.Itoa(s.Drifts), p.lastDrift(s), short(s.Origin)))
	}
	var buf bytes.Buffer
	columns(&buf, row("SETTING", "WANT", "NOW", "STATE", "DRIFTS", "LAST DRIFT", "FROM"), rows)
	_, _ = io.WriteString(w, p.paint(buf.String(), map[string]string{
		string(reconcile.InSync): green, string(reconcile.Pending): yellow, string(reconcile.Unsupported): yellow,
		string(reconcile.Drifted): red, string(reconcile.Contested): red, string(reconcile.Forbidden): red, string(reconcile.Failed): red,
	}))
	complaints(w, settings)
	opponents(w, settings)
}

// short is an origin below the usual directory: "ctkeeper.yaml:3".
func short(origin string) string { return strings.TrimPrefix(origin, "/etc/ctkeeper/") }

// complaints are the errors of settings, one a line; settings with the same error
// share it.
func complaints(w io.Writer, settings []reconcile.Setting) {
	names := map[string][]string{}
	var order []string
	for _, s := range settings {
		if s.Error == "" {
			continue
		}
		if names[s.Error] == nil {
			order = append(order, s.Error)
		}
		names[s.Error] = append(names[s.Error], s.Name)
	}
	for _, e := range order {
		sayLine(w, "%s: %s", strings.Join(names[e], ", "), strings.ReplaceAll(e, "\n", "; "))
	}
}

func want(s reconcile.Setting) string {
	return sysfs.Want{Policy: s.Policy, Value: s.Want}.String()
}

// lastDrift is the value that was found, when, and who brought it or else what did; the events
// and the other formats have the rest. Today is told by the time and another day by the date,
// as ls(1) does.
func (p Printer) lastDrift(s reconcile.Setting) string {
	d := s.LastDrift
	if d == nil {
		return "-"
	}
	at := p.at(d.At, "15:04")
	if !p.today(d.At) {
		at = p.at(d.At, "01-02")
	}
	return fmt.Sprintf("%s %s %s", d.Found, at, who(*d))
}

// today reports whether a moment is of this day, in the printer's zone.
func (p Printer) today(t time.Time) bool {
	now := p.Now
	if now.IsZero() {
		now = time.Now()
	}
	return p.at(t, time.DateOnly) == p.at(now, time.DateOnly)
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// Applied writes where one pass left the settings.
func (p Printer) Applied(s status.Document) error {
	doc := struct {
		Module   status.Module       `json:"module"`
		Settings []reconcile.Setting `json:"settings"`
	}{s.Module, s.Settings}
	return p.Document(doc, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "%-8s %s %s\n\n", "module:", s.Module.Name, s.Module.State) // a buffer takes everything
		p.settings(w, s.Settings)
	})
}

// Diff writes what differs, and nothing else for people.
func (p Printer) Diff(s status.Document) error {
	doc := struct {
		Module   status.Module        `json:"module"`
		Settings []reconcile.Standing `json:"settings"`
	}{s.Module, make([]reconcile.Standing, len(s.Settings))}
	for i, setting := range s.Settings {
		doc.Settings[i] = setting.Standing
	}
	return p.Document(doc, func(w io.Writer) {
		reloads(w, s.Module)
		untold(w, s.Module)
		var rows []string
		for _, setting := range s.Settings {
			if setting.State != reconcile.InSync {
				rows = append(rows, row(setting.Name, orDash(setting.Now), want(setting), cost(setting), string(setting.State), short(setting.Origin)))
			}
		}
		if len(rows) == 0 {
			nothing := "Nothing"
			if s.Module.NeedsReload() {
				nothing = "Nothing else"
			}
			_, _ = fmt.Fprintf(w, "%s differs: %d settings are as wanted.\n", nothing, len(s.Settings))
			return
		}
		var buf bytes.Buffer
		columns(&buf, row("SETTING", "NOW", "WANT", "MEMORY", "STATE", "FROM"), rows)
		_, _ = w.Write(buf.Bytes())
		complaints(w, s.Settings)
	})
}

// Event writes one event.
func (p Printer) Event(e reconcile.Event) error {
	return p.Line(e, p.at(e.At, "2006-01-02 15:04:05.000")+" "+visible(strings.ReplaceAll(e.Message, "\n", "; ")))
}

func cost(s reconcile.Setting) string {
	bytes, ok := config.Memory(sysfs.Want{Setting: &sysfs.Setting{Name: s.Name}, Value: s.Want})
	if !ok {
		return "-"
	}
	return config.FormatBytes(bytes)
}

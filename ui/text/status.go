package text

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/host/printable"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/ui/sgr"
)

// Status writes a status document.
func (p Printer) Status(s status.Document) error {
	return p.Document(s, func(w io.Writer) {
		p.problems(w, s)
		p.head(w, s)
		p.settings(w, s, s.Daemon.Running)
		if len(s.Problems) > 0 { // the first lines may have scrolled away
			_, _ = fmt.Fprintln(w)
			for _, line := range wrap(s.Headline + ".") {
				printLine(w, "%s", line)
			}
		}
	})
}

// Brief writes the state in one line, for a banner or a script.
func (p Printer) Brief(s status.Document) error {
	doc := struct {
		API      status.API `json:"api"`
		Headline string     `json:"headline"`
	}{Headline: s.Headline}
	return p.Document(doc, func(w io.Writer) { printLine(w, "ctkeeper: %s", s.Headline) })
}

// problems writes what is wrong, the worst first, each with what is known of it, or that nothing is.
func (p Printer) problems(w io.Writer, s status.Document) {
	if len(s.Problems) == 0 {
		printLine(w, "%s.", s.Headline)
		_, _ = fmt.Fprintln(w)
		return
	}
	for _, problem := range s.Problems {
		lines := wrap(problem.Text + ".")
		if !problem.Since.IsZero() {
			lines = append(lines, "Since "+p.at(problem.Since, time.DateTime))
		}
		if problem.By != "" {
			lines = append(lines, wrap("By "+problem.By)...)
		}
		lines = append(lines, wrap(problem.Do)...)
		if problem.Docs != "" {
			lines = append(lines, problem.Docs)
		}
		name := fmt.Sprintf("%-9s", problem.Severity+":")
		_, _ = fmt.Fprintf(w, "%s %s\n", p.colour(name, sgr.Of(problem.Severity)), printable.Line(lines[0]))
		for _, line := range lines[1:] {
			printLine(w, "%-9s %s", "", line)
		}
	}
	_, _ = fmt.Fprintln(w)
}

func (p Printer) head(w io.Writer, s status.Document) {
	line := func(name, format string, args ...any) {
		printLine(w, "%-8s "+format, append([]any{name}, args...)...)
	}
	switch {
	case s.Daemon.Error != "":
		line("daemon:", "%s", s.Daemon.Error)
		line("", "values are read from the kernel")
	case s.Daemon.Running:
		since := p.at(s.Daemon.Since, time.DateTime)
		line("daemon:", "running since %s, pid %d, mode %s", since, s.Daemon.PID, s.Daemon.Mode)
	default:
		line("daemon:", "not running; values are read from the kernel")
	}
	files := strings.Join(s.Daemon.Config.Files, ", ")
	switch {
	case files != "":
	case len(s.Settings) == 0:
		files = "every file is empty or masked"
	default:
		files = "embedded default"
	}
	line("config:", "%s", files)
	module := fmt.Sprintf("%s %s", s.Module.Name, s.Module.State)
	if loads := s.Module.LoadsSeen(); loads != "" {
		module += ", " + loads
	}
	line("module:", "%s", module)
	reloads(w, s.Module)
	for _, source := range s.Daemon.Sources {
		if source.Note != "" {
			printSection(w, "watches:", wrap(source.Note))
		}
	}
	p.guard(w, s)
	p.table(w, s.Table)
	_, _ = fmt.Fprintln(w)
}

// reloads writes the parameters that need a reload of the module, or may need one, one a line.
func reloads(w io.Writer, m status.Module) {
	var known, unknown []string
	for _, p := range m.Parameters {
		switch {
		case p.State == status.ParameterNeedsReload:
			known = append(known, fmt.Sprintf("%s is %s, wanted %s (%s): %s",
				p.Name, p.Live, p.Want, p.Origin, m.ReloadText(p)))
		case p.State == status.ParameterUnknown && m.State != kmod.Absent:
			unknown = append(unknown, fmt.Sprintf("%s, wanted %s (%s), may need a reload: %s",
				p.Name, p.Want, p.Origin, p.Error))
		}
	}
	for _, text := range append(known, unknown...) {
		printSection(w, "reload:", wrap(text))
	}
}

// settings writes a table of the settings. Without a daemon nobody has counted their drifts.
func (p Printer) settings(w io.Writer, d status.Document, isCounted bool) {
	if len(d.Settings) == 0 {
		_, _ = fmt.Fprintln(w, "No settings are configured.")
		return
	}
	rows := [][]string{{"SETTING", "WANT", "LIVE", "STATE", "DRIFTS", "LAST DRIFT", "FROM"}}
	for _, s := range d.Settings {
		drifts := "-"
		if isCounted {
			drifts = strconv.Itoa(s.Drifts)
		}
		rows = append(rows, []string{
			s.Name, want(s), cmp.Or(s.Live.String(), "-"), string(s.State), drifts, p.lastDrift(s), short(s.Origin),
		})
	}
	var buf bytes.Buffer
	columns(&buf, rows)
	colours := map[string]string{}
	for _, s := range d.Settings {
		colours[string(s.State)] = sgr.Of(status.SettingSeverity(s.State, d.Daemon.Mode))
	}
	_, _ = io.WriteString(w, p.paint(buf.String(), colours))
}

// short renders an origin without its directory, "ctkeeper.yaml:3": of several files of one name only one is read.
func short(origin tree.Place) string { return path.Base(origin.String()) }

// settingErrors writes the errors of settings, one a line. Settings with the same error share a line.
func settingErrors(w io.Writer, settings []reconcile.SettingStatus) {
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
		printLine(w, "%s: %s", strings.Join(names[e], ", "), strings.ReplaceAll(e, "\n", "; "))
	}
}

func want(s reconcile.SettingStatus) string {
	return s.Policy.Of(s.Want)
}

// lastDrift renders when, the writer or the cause, and the value that was found. Events and documents have the rest. A
// drift of today has its time and an older one its date, as in ls(1).
func (p Printer) lastDrift(s reconcile.SettingStatus) string {
	d := s.LastDrift
	if d == nil {
		return "-"
	}
	at := p.at(d.At, "15:04")
	if !p.isToday(d.At) {
		at = p.at(d.At, "01-02")
	}
	return fmt.Sprintf("%s %s %s", at, writerOrCause(*d), d.Found)
}

// isToday reports whether a time is of the present day in the printer's zone.
func (p Printer) isToday(t time.Time) bool {
	now := p.Now
	if now.IsZero() {
		now = time.Now()
	}
	return p.at(t, time.DateOnly) == p.at(now, time.DateOnly)
}

// Applied writes the settings after one pass.
func (p Printer) Applied(s status.Document) error {
	doc := struct {
		API      status.API                `json:"api"`
		Module   status.Module             `json:"module"`
		Settings []reconcile.SettingStatus `json:"settings"`
	}{Module: s.Module, Settings: s.Settings}
	return p.Document(doc, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "%-8s %s %s\n\n", "module:", s.Module.Name, s.Module.State)
		p.settings(w, s, true)
	})
}

// Diff writes the settings that differ for people, and all settings for programs.
func (p Printer) Diff(s status.Document) error {
	doc := struct {
		API      status.API             `json:"api"`
		Module   status.Module          `json:"module"`
		Settings []reconcile.Comparison `json:"settings"`
	}{Module: s.Module, Settings: make([]reconcile.Comparison, len(s.Settings))}
	for i, setting := range s.Settings {
		doc.Settings[i] = setting.Comparison
	}
	return p.Document(doc, func(w io.Writer) {
		reloads(w, s.Module)
		rows := [][]string{{"SETTING", "LIVE", "WANT", "MEMORY", "STATE", "FROM"}}
		for _, setting := range s.Settings {
			if setting.State != reconcile.InSync {
				rows = append(rows, []string{setting.Name, cmp.Or(setting.Live.String(), "-"), want(setting),
					cost(setting), string(setting.State), short(setting.Origin)})
			}
		}
		if len(rows) == 1 {
			nothing := "Nothing"
			if s.Module.NeedsReload() {
				nothing = "Nothing else"
			}
			_, _ = fmt.Fprintf(w, "%s differs: %d settings are as wanted.\n", nothing, len(s.Settings))
			return
		}
		columns(w, rows)
		settingErrors(w, s.Settings)
	})
}

// Event writes one event.
func (p Printer) Event(e reconcile.Event) error {
	message := printable.Line(strings.ReplaceAll(e.Message, "\n", "; "))
	return p.Line(e, p.at(e.At, "2006-01-02 15:04:05.000")+" "+message)
}

func cost(s reconcile.SettingStatus) string {
	if s.MemoryBytes == 0 {
		return "-"
	}
	return config.FormatBytes(s.MemoryBytes)
}

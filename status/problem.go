package status

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ctkeeper/ctkeeper/host/printable"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/sysfs"
	"github.com/ctkeeper/ctkeeper/table"
)

// The subjects of problems that are no settings.
const (
	AboutConnections  = table.Connections
	AboutExpectations = table.Expectations
	AboutDaemon       = "daemon"
	AboutConfig       = "config"
	AboutGuard        = "guard"
	AboutModule       = "module"
)

// Problem is one thing that is wrong now. All views show the same ones, with the same words.
type Problem struct {
	Severity Severity `json:"severity"`
	// About are the settings that it concerns, or one of the subjects above.
	About []string `json:"about"`
	Text  string   `json:"text"`
	// Since is when it began, where that is known.
	Since time.Time `json:"since,omitzero"`
	// By is who causes it, where that is known.
	By string `json:"by,omitempty"`
	// Do is what to do about it, a sentence or a command; empty where the text says so. Docs is the address of a
	// page that explains it.
	Do   string `json:"do,omitempty"`
	Docs string `json:"docs,omitempty"`
}

// Judge sets Problems and Headline from the rest of the document.
func (d *Document) Judge() {
	tables := d.Table.problems()
	if !d.Daemon.Config.OK {
		for i, p := range tables {
			tables[i].Do = "Correct the refused configuration, then " + strings.ToLower(p.Do[:1]) + p.Do[1:]
		}
	}
	d.Problems = slices.Concat(d.daemonProblems(), tables, d.settingProblems(), d.configProblems(),
		d.guardProblems())
	for i := range d.Problems {
		if strings.HasPrefix(d.Problems[i].Text, "the ") {
			d.Problems[i].Text = capitalize(d.Problems[i].Text)
		}
	}
	slices.SortStableFunc(d.Problems, func(a, b Problem) int { return cmp.Compare(a.Severity, b.Severity) })
	d.Headline = d.headline()
}

// headline returns the state in one line: the worst problem, or that all is well.
func (d *Document) headline() string {
	switch n := len(d.Problems); n {
	case 0:
	case 1:
		return d.Problems[0].Text
	default:
		return fmt.Sprintf("%s (and %s)", d.Problems[0].Text, plural(int64(n-1), "other problem"))
	}
	text := capitalize(SettingsText(d.Summary()))
	if entries, limit := d.Table.Entries, d.Table.Max; entries != nil && limit != nil {
		text += "; " + tableText(table.Connections, *entries, *limit)
	}
	return text
}

// capitalize returns a text of ours, which begins with a letter, as a sentence begins.
func capitalize(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

func (d *Document) daemonProblems() []Problem {
	elsewhere := Problem{Severity: Warning, About: []string{AboutDaemon}, Docs: docs + "elsewhere"}
	switch {
	case d.Daemon.Running && d.Daemon.KeptElsewhere:
		elsewhere.Text = "the settings of this network namespace are kept by another ctkeeper, and this one observes " +
			"until that one ends"
		elsewhere.Do = "Run one of them: the service of the node, or the pod"
		return []Problem{elsewhere}
	case d.Daemon.Running && d.Daemon.OwnerError != "":
		elsewhere.Text = "a second ctkeeper would not be noticed: " + d.Daemon.OwnerError
		return []Problem{elsewhere}
	case d.Daemon.Running:
		return nil
	case d.Daemon.KeptElsewhere && d.Daemon.Error == "":
		elsewhere.Text = "no ctkeeper answers here, but one keeps the settings of this network namespace"
		elsewhere.Do = "Ask that one, such as ctkeeper's pod on this node"
		return []Problem{elsewhere}
	}
	text := NotRunning
	if d.Daemon.Error != "" {
		text = d.Daemon.Error
	}
	return []Problem{{
		Severity: Critical, About: []string{AboutDaemon}, Text: text, Do: "See systemctl status ctkeeper",
		Docs: docs + "down",
	}}
}

// problems returns the problems of the tables, and that of connections refused for a long chain.
func (t Table) problems() []Problem {
	var all []Problem
	for _, one := range []struct {
		name           string
		entries, limit *int64
		do, docs       string
	}{
		{table.Connections, t.Entries, t.Max, "Raise max and hashsize (ctkeeper diff shows what that costs in " +
			"memory), or find what fills the table", "full"},
		{table.Expectations, t.Expectations, t.ExpectMax, "Raise expect_max, or find what the helper is used for",
			"expectations"},
	} {
		c, ok := t.Conditions[one.name]
		if !ok || one.entries == nil || one.limit == nil || TableSeverity(c) == Good {
			continue
		}
		p := Problem{
			Severity: TableSeverity(c), About: []string{one.name}, Since: c.Since, Do: one.do, Docs: docs + one.docs,
			Text: tableText(one.name, *one.entries, *one.limit) + forecastText(c),
		}
		if c.Loss != table.NoLoss {
			span := time.Duration(t.GrownSeconds * float64(time.Second))
			p.Text = lossText(c.Loss, table.LossesOf(t.Grown), span) + "; " + p.Text
		}
		if helpers := t.Helpers(); one.name == table.Expectations && len(helpers) > 0 && helpers[0] != "" {
			p.By = fmt.Sprintf("helper %s, which has %d of them", helpers[0], t.ByHelper[helpers[0]])
		}
		all = append(all, p)
	}
	if n := table.LossesOf(t.Grown).Refused; n > 0 {
		all = append(all, Problem{
			Severity: Critical, About: []string{AboutConnections},
			Text: "the kernel refuses connections whose chain in the hash table is too long, " +
				plural(n, "connection") + during(time.Duration(t.GrownSeconds*float64(time.Second))),
			Do: "Raise hashsize to an eighth of max or more", Docs: docs + "chains",
		})
	}
	return all
}

// docs is the page that explains the problems, before the name of its part.
const docs = "https://github.com/ctkeeper/ctkeeper/blob/main/docs/troubleshooting.md#"

// settingProblems returns the problems of the settings. Settings with the same error share one.
func (d *Document) settingProblems() []Problem {
	var all []Problem
	for _, s := range d.Settings {
		p, isProblem := d.settingProblem(s)
		if !isProblem {
			continue
		}
		i := slices.IndexFunc(all, func(o Problem) bool { return s.Error != "" && o.Text == p.Text })
		if i < 0 {
			p.About = []string{s.Name}
			all = append(all, p)
			continue
		}
		all[i].About = append(all[i].About, s.Name)
		if s.Since.Before(all[i].Since) {
			all[i].Since = s.Since
		}
	}
	for i := range all {
		all[i].Text = printable.Line(strings.ReplaceAll(listText(all[i].About)+all[i].Text, "\n", "; "))
	}
	return all
}

// NotReady returns why a running daemon is not ready, in a sentence, or "". It is ready if each setting is in effect,
// waits for its module or does not exist in this kernel, and always in mode observe. A drift that is being repaired
// is a reason, too.
func (d *Document) NotReady() string {
	if d.Daemon.Mode == reconcile.Observe {
		return ""
	}
	switch all := d.settingProblems(); len(all) {
	case 0:
		return ""
	case 1:
		return all[0].Text
	default:
		return fmt.Sprintf("%s (and %s)", all[0].Text, plural(int64(len(all)-1), "other problem"))
	}
}

// maxListed is how many names a sentence lists.
const maxListed = 3

func listText(names []string) string {
	if len(names) > maxListed {
		return fmt.Sprintf("%s and %d others", strings.Join(names[:maxListed-1], ", "), len(names)-maxListed+1)
	}
	return strings.Join(names, ", ")
}

// settingProblem returns the problem of one setting, whose text follows the name.
func (d *Document) settingProblem(s reconcile.SettingStatus) (Problem, bool) {
	p := Problem{Severity: SettingSeverity(s.State, d.Daemon.Mode), Since: s.Since}
	values := fmt.Sprintf(" is %s, wanted %s", cmp.Or(s.Live.String(), "unknown"), s.Policy.Of(s.Want))
	if s.LastDrift != nil && s.LastDrift.By != nil {
		p.By = s.LastDrift.By.String()
	}
	switch s.State {
	case reconcile.Contested:
		p.Text = " is contested: another writer keeps changing it"
		if s.LastDrift != nil && s.LastDrift.Found != s.Live { // it was repaired, until the next write
			p.Text += fmt.Sprintf(", last to %s", s.LastDrift.Found)
		}
		p.Text += strings.Replace(values, " is ", "; it is ", 1)
		p.Do = "Stop that writer"
		if p.By == "" {
			p.Do += " (ctkeeper doctor looks for it)"
		}
		if d.canHold(s.Name) {
			p.Do += ", or use guard: hold"
		}
		p.Docs = docs + "contested"
	case reconcile.Drifted:
		p.Text, p.Docs = values, docs+"drifted"
		if d.Daemon.Mode == reconcile.Observe {
			p.Text = values + ", and mode observe repairs nothing"
		}
	case reconcile.Forbidden, reconcile.Failed:
		p.Text, p.By, p.Docs = ": "+s.Error, "", docs+"forbidden"
	default:
		return Problem{}, false
	}
	return p, true
}

// canHold reports whether guard: hold is not in effect and would apply to a setting. If each network namespace has a
// value of its own, the guard must be able to read the namespace of a writer.
func (d *Document) canHold(name string) bool {
	setting := sysfs.Lookup(name)
	blocks := d.Guard.State == GuardHolding || d.Guard.State == GuardLocked
	return setting != nil && !blocks && (setting.Global || slices.Contains(d.Guard.Names, "netns"))
}

func (d *Document) configProblems() []Problem {
	var all []Problem
	if c := d.Daemon.Config; !c.OK {
		first, rest, _ := strings.Cut(strings.TrimSpace(c.Error), "\n")
		text := "the newest configuration was refused, the last good one stays in effect: " + first
		if !d.Daemon.Running {
			text = "the configuration is refused: " + first
		}
		if rest != "" {
			text += fmt.Sprintf(" (and %s)", plural(int64(strings.Count(rest, "\n")+1), "other error"))
		}
		all = append(all, Problem{
			Severity: Warning, About: []string{AboutConfig}, Text: text, Since: c.RefusedAt,
			Do: "ctkeeper config check lists every error", Docs: docs + "refused",
		})
	}
	for _, p := range d.Module.Parameters {
		if p.State == ParameterNeedsReload {
			all = append(all, Problem{
				Severity: Warning, About: []string{AboutModule},
				Text: fmt.Sprintf("%s is %s, wanted %s: %s", p.Name, p.Live, p.Want, d.Module.ReloadText(p)),
			})
		}
	}
	for _, text := range d.Daemon.SourcesDown() {
		all = append(all, Problem{Severity: Warning, About: []string{AboutDaemon}, Text: text})
	}
	return all
}

func (d *Document) guardProblems() []Problem {
	if !d.Daemon.Running || d.IsGuardInEffect() {
		return nil
	}
	p := Problem{
		Severity: Warning, About: []string{AboutGuard}, Text: "the guard is " + d.GuardActivity(), Docs: docs + "guard",
	}
	switch d.Guard.State {
	case GuardUnavailable:
		p.Text = "the guard is not available: " + d.Guard.Error
	case GuardOff:
		p.Text = "guard: " + d.GuardActivity()
	}
	for _, m := range d.Guard.Missing {
		if p.Do == "" && (d.Guard.State == GuardUnavailable || m.What == d.Guard.Mode) {
			p.Do = m.Hint
		}
	}
	return []Problem{p}
}

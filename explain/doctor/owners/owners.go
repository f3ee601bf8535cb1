package owners

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/fixes"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// Check returns the findings of this topic.
func Check(h *picture.Host) []finding.Finding {
	return h.Run(checkTooEarly, checkNotRead, checkRefused, checkConflicts, checkOthers, checkContradictions, checkLock,
		checkRecord, checkPods)
}

// stance is how the configuration relates to an assignment.
type stance int

const (
	unconfigured stance = iota
	agrees
	conflicts
)

// stanceOf compares an assignment with the configuration, and returns what is wanted: of the parameter
// where it is a load-time parameter, else of the setting.
func stanceOf(h *picture.Host, a inventory.Assignment) (want string, s stance) {
	if !h.IsConfigured() {
		return "", unconfigured
	}
	if p, found := h.Parameter(a.Name); a.Parameter && found {
		if sysfs.IsSameParameter(a.Name, a.Value, p.Value) {
			return p.Value, agrees
		}
		return p.Value, conflicts
	}
	w, found := h.Want(a.Name)
	switch {
	// The module's parameter acct is what new namespaces start with, the sysctl acct is the value of this
	// one. Only the hash size is the same variable.
	case !found, a.Parameter && a.Name != sysfs.Hashsize:
		return "", unconfigured
	case w.Satisfied(w.Setting.Parse(picture.ValueAfter(a, w.Value.String()))):
		return w.String(), agrees
	}
	return w.String(), conflicts
}

// assignmentsOf returns the effective assignments by other tools that have the stance. An assignment
// before the module is loaded counts where a daemon enforces the setting: its tool can be restarted.
func assignmentsOf(h *picture.Host, s stance) []inventory.Assignment {
	var found []inventory.Assignment
	for _, a := range h.Inventory.Assignments {
		if _, is := stanceOf(h, a); !a.FromPersist && is == s && h.HasEffect(a) && (!a.TooEarly ||
			h.IsEnforced(a.Name)) {
			found = append(found, a)
		}
	}
	return found
}

// checkConflicts reports the assignments by other tools that conflict with the configuration.
func checkConflicts(h *picture.Host) []finding.Finding {
	var found []finding.Finding
	for _, times := range groupByLine(assignmentsOf(h, conflicts)) {
		a := times[0]
		want, _ := stanceOf(h, a)
		f := finding.Finding{
			ID: "other-owner", Severity: finding.Warning,
			Summary:  fmt.Sprintf("%s, ctkeeper wants %s; %s", describe(times), want, outcome(h, a)),
			Evidence: []finding.Evidence{h.AssignmentEvidence(a)},
		}
		if a.Uncertain != "" {
			f.Severity, f.Note = finding.Info, "It is not certain: "+a.Uncertain+"."
			f.Evidence = append(f.Evidence, wantEvidence(h, a)...)
		} else if h.Config.UsesDefault { // it is not known which of the two is right
			f.Fix = []finding.Step{fixes.ImportWrite()}
			f.Note = "No settings are configured: import writes one with the values of the host's files."
		} else {
			f.Evidence = append(f.Evidence, wantEvidence(h, a)...)
			f.Fix, f.Note = fixes.RemoveAssignment(h, a, func(b inventory.Assignment) bool {
				_, s := stanceOf(h, b)
				return !b.FromPersist && s == conflicts
			})
		}
		found = append(found, f)
	}
	return found
}

// groupByLine groups the assignments that one line makes at several times.
func groupByLine(all []inventory.Assignment) [][]inventory.Assignment {
	var groups [][]inventory.Assignment
	for _, a := range all {
		i := slices.IndexFunc(groups, func(g []inventory.Assignment) bool {
			return g[0].Place == a.Place && g[0].Name == a.Name && g[0].Value == a.Value
		})
		if i < 0 {
			groups = append(groups, nil)
			i = len(groups) - 1
		}
		groups[i] = append(groups[i], a)
	}
	return groups
}

// describe returns the assignments of a line as a sentence: "systemd-sysctl sets nf_conntrack_max to
// 65536 at boot".
func describe(times []inventory.Assignment) string {
	a := times[0]
	verb := "sets %s to"
	switch {
	case a.Uncertain != "":
		verb = "can set %s to"
	case a.AtLeast:
		verb = "raises %s to at least"
	case a.AtMost:
		verb = "lowers %s to at most"
	}
	var tools, phases []string
	for _, b := range times {
		phase := b.Phase.String()
		if b.TooEarly {
			phase = "whenever it is started again" // at boot the module is not loaded yet
		}
		tools, phases = append(tools, b.Tool), append(phases, phase)
	}
	tools, phases = finding.Unique(tools), finding.Unique(phases)
	if len(tools) > 1 && a.Uncertain == "" {
		verb = strings.Replace(verb, "s ", " ", 1)
	}
	return fmt.Sprintf("%s "+verb+" %s %s", finding.List(tools), picture.KernelName(a), a.Value, finding.List(phases))
}

// outcome returns which of the two values applies.
func outcome(h *picture.Host, a inventory.Assignment) string {
	mode := blockingMode(h, a)
	switch _, found := h.Parameter(a.Name); {
	case a.Parameter && found:
		return "the module is loaded with " + a.Value
	case h.IsEnforcing() && mode == config.GuardLock:
		return "ctkeeper's guard refuses it while the daemon runs, otherwise ctkeeper writes its value back"
	case h.IsEnforcing() && mode == config.GuardHold:
		return "ctkeeper's guard absorbs it while the daemon runs: it seems to succeed, and changes nothing"
	case h.IsEnforcing():
		return "ctkeeper writes its value back each time"
	}
	return "nothing writes ctkeeper's value back: no daemon enforces the configuration here"
}

// wantEvidence returns the line of the configuration about what an assignment sets.
func wantEvidence(h *picture.Host, a inventory.Assignment) []finding.Evidence {
	var evidence finding.Evidence
	if p, found := h.Parameter(a.Name); a.Parameter && found {
		evidence = finding.At(p.Origin, p.Name+": "+p.Value)
	} else if w, found := h.Want(a.Name); found {
		evidence = finding.At(w.Origin, w.Setting.Name+": "+w.String())
	}
	if evidence.Place == (tree.Place{}) {
		return nil
	}
	return []finding.Evidence{evidence}
}

// checkOthers reports, file by file, the assignments that agree with the configuration, and those of
// settings that are not configured.
func checkOthers(h *picture.Host) []finding.Finding {
	if h.Config == nil {
		return nil
	}
	var found []finding.Finding
	for _, s := range []stance{agrees, unconfigured} {
		var files []string
		names, lines, verbs := map[string][]string{}, map[string][]finding.Evidence{}, map[string]string{}
		tools := map[string]string{}
		for _, times := range groupByLine(assignmentsOf(h, s)) {
			a := times[0]
			files = append(files, a.File)
			names[a.File] = append(names[a.File], picture.KernelName(a))
			lines[a.File] = append(lines[a.File], h.AssignmentEvidence(a))
			tools[a.File] = a.Tool
			if a.Uncertain == "" {
				verbs[a.File] = "sets"
			}
		}
		for _, file := range finding.Unique(files) {
			f := finding.Finding{ID: "other-owner", Severity: finding.Info, Evidence: lines[file]}
			subject := file + " " + cmp.Or(verbs[file], "can set")
			f.Summary, f.Note = summarizeOther(h, s, subject, strings.Join(finding.Unique(names[file]), ", "))
			if s == agrees && tools[file] == picture.KubeProxy { // without the lines it has its defaults
				f.Note = "ctkeeper render kube-proxy prints the configuration with which kube-proxy leaves them alone."
			}
			found = append(found, f)
		}
	}
	return found
}

// summarizeOther returns the summary and the note about a file; the subject is "FILE sets" or "FILE can set".
func summarizeOther(h *picture.Host, s stance, subject, names string) (summary, note string) {
	if s == unconfigured {
		return fmt.Sprintf("%s %s, which ctkeeper's configuration does not have", subject, names),
			"ctkeeper import prints it as configuration."
	}
	summary = fmt.Sprintf("%s the same values as ctkeeper for %s", subject, names)
	if h.IsEnforcing() {
		return summary, "These lines can be deleted: ctkeeper keeps the values."
	}
	return summary, "These lines can be deleted once ctkeeper is enabled and running."
}

package owners

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/fixes"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

// Check returns the findings of this topic.
func Check(h *picture.Host) []finding.Finding {
	return h.Run(checkTooEarly, checkNotRead, checkOpposed, checkOthers, checkContradictions, checkLock)
}

// stance is how the configuration stands to an assignment.
type stance int

const (
	unasked stance = iota
	agreed
	opposed
)

// stanceOf compares an assignment with the configuration, and gives what that asks:
// of the parameter at load, of the setting else.
func stanceOf(h *picture.Host, a inventory.Assignment) (asked string, s stance) {
	if !h.IsConfigured() {
		return "", unasked
	}
	if p, found := h.Parameter(a.Name); a.Parameter && found {
		if picture.IsSameParameter(a.Name, a.Value, p.Value) {
			return p.Value, agreed
		}
		return p.Value, opposed
	}
	w, found := h.Want(a.Name)
	switch {
	// acct of the module is what namespaces begin with, acct of sysctl what holds in
	// this one: only the hash size is one variable.
	case !found, a.Parameter && a.Name != picture.Hashsize:
		return "", unasked
	case w.Satisfied(w.Setting.Parse(picture.ValueAfter(a, w.Value.String()))):
		return w.String(), agreed
	}
	return w.String(), opposed
}

// checkOpposed are the assignments by others that contradict the configuration.
func checkOpposed(h *picture.Host) []finding.Finding {
	var found []finding.Finding
	opposes := func(a inventory.Assignment) bool {
		_, s := stanceOf(h, a)
		return !a.FromPersist && s == opposed
	}
	var opponents []inventory.Assignment
	for _, a := range h.Inventory.Assignments {
		if opposes(a) && h.HasEffect(a) && (!a.TooEarly || h.IsEnforced(a.Name)) {
			opponents = append(opponents, a)
		}
	}
	for _, times := range groupByLine(opponents) {
		a := times[0]
		asked, _ := stanceOf(h, a)
		f := finding.Finding{
			ID: "other-owner", Severity: finding.Warning,
			Summary:  fmt.Sprintf("%s, ctkeeper wants %s; %s", describe(times), asked, outcome(h, a)),
			Evidence: []finding.Evidence{h.AssignmentEvidence(a)},
		}
		if len(h.Config.Files) == 0 { // nobody has said yet which of the two is right
			f.Fix = []string{fixes.ImportWrite}
			f.Note = "Nothing is configured for ctkeeper: import takes over the values that the host's files have."
		} else {
			f.Evidence = append(f.Evidence, askedBy(h, a)...)
			f.Fix, f.Note = fixes.RemoveAssignment(h, a, opposes)
		}
		found = append(found, f)
	}
	return found
}

// groupByLine puts the assignments together that one line makes at several times.
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

// describe is a line's assignment as a sentence: "systemd-sysctl sets nf_conntrack_max to
// 65536 at boot".
func describe(times []inventory.Assignment) string {
	a := times[0]
	verb := "sets %s to"
	switch {
	case a.AtLeast:
		verb = "raises %s to at least"
	case a.AtMost:
		verb = "lowers %s to at most"
	}
	var whom, when []string
	for _, b := range times {
		phase := b.Phase.String()
		if b.TooEarly {
			phase = "whenever it is started again" // at boot it comes too early
		}
		if !slices.Contains(whom, b.Tool) {
			whom = append(whom, b.Tool)
		}
		if !slices.Contains(when, phase) {
			when = append(when, phase)
		}
	}
	if len(whom) > 1 {
		verb = strings.Replace(verb, "s ", " ", 1)
	}
	return fmt.Sprintf("%s "+verb+" %s %s", finding.List(whom), picture.KernelName(a), a.Value, finding.List(when))
}

// outcome says which of the two stands, and when.
func outcome(h *picture.Host, a inventory.Assignment) string {
	switch _, found := h.Parameter(a.Name); {
	case a.Parameter && found:
		return "the module comes up with " + a.Value
	case h.IsEnforcing() && isLocked(h, a):
		return "ctkeeper's guard refuses it while the daemon runs, and else ctkeeper writes it back"
	case h.IsEnforcing():
		return "ctkeeper writes it back each time"
	}
	return "nothing writes it back: no daemon enforces the configuration here"
}

// askedBy is the place in the configuration that asks for what an assignment sets.
func askedBy(h *picture.Host, a inventory.Assignment) []finding.Evidence {
	var origin tree.Place
	text := ""
	if p, found := h.Parameter(a.Name); a.Parameter && found {
		origin, text = p.Origin, p.Name+": "+p.Value
	} else if w, found := h.Want(a.Name); found {
		origin, text = w.Origin, w.Setting.Name+": "+w.String()
	}
	if origin == (tree.Place{}) {
		return nil
	}
	return []finding.Evidence{finding.At(origin, text)}
}

// checkOthers are, file by file, the assignments by others that say what the
// configuration says, and those of settings that it does not ask for.
func checkOthers(h *picture.Host) []finding.Finding {
	if h.Config == nil {
		return nil
	}
	var found []finding.Finding
	for _, s := range []stance{agreed, unasked} {
		var these []inventory.Assignment
		for _, a := range h.Inventory.Assignments {
			if _, is := stanceOf(h, a); !a.FromPersist && is == s && h.HasEffect(a) && (!a.TooEarly || h.IsEnforced(a.Name)) {
				these = append(these, a)
			}
		}
		files, names, lines := []string{}, map[string][]string{}, map[string][]finding.Evidence{}
		for _, times := range groupByLine(these) {
			a := times[0]
			if !slices.Contains(files, a.File) {
				files = append(files, a.File)
			}
			if name := picture.KernelName(a); !slices.Contains(names[a.File], name) {
				names[a.File] = append(names[a.File], name)
			}
			lines[a.File] = append(lines[a.File], h.AssignmentEvidence(a))
		}
		for _, file := range files {
			f := finding.Finding{ID: "other-owner", Severity: finding.Info, Evidence: lines[file]}
			f.Summary, f.Note = agreement(h, s, file, strings.Join(names[file], ", "))
			found = append(found, f)
		}
	}
	return found
}

func agreement(h *picture.Host, s stance, file, names string) (summary, note string) {
	switch {
	case s == unasked:
		return fmt.Sprintf("%s sets %s, for which ctkeeper is not configured", file, names), "ctkeeper import shows it as configuration."
	case h.IsEnforcing():
		return fmt.Sprintf("%s says the same as ctkeeper of %s", file, names), "Those lines can be deleted: ctkeeper keeps the values."
	}
	return fmt.Sprintf("%s says the same as ctkeeper of %s", file, names), "Those lines can be deleted once ctkeeper is enabled and running."
}

package doctor

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

const (
	hashsize       = "hashsize"
	expectHashsize = "expect_hashsize"
	importWrite    = "ctkeeper import --write"
)

// ownerChecks ask who else sets these values, who wins, and when.
func ownerChecks() []check {
	return []check{
		sysctlTooEarly, sysctlNotRead, otherOwners, ownersAgree, contradictions,
		runtimeOnly, bootFilesStale, loadParameters, filesUnreadable,
	}
}

// repairs reports whether a daemon puts drift right on this host, and after its
// next boot.
func (h *Host) repairs() bool {
	runs := h.Place.Running == nil || *h.Place.Running
	return h.Place.Enabled && runs && h.Config != nil && h.Config.Mode == config.Enforce
}

// holds reports whether a daemon keeps this setting.
func (h *Host) holds(name string) bool {
	_, asked := h.want(name)
	return asked && h.repairs()
}

// configured reports whether somebody said what the settings should be, or a daemon
// enforces the embedded default: else that is no more than an offer.
func (h *Host) configured() bool {
	return h.Config != nil && (len(h.Config.Files) > 0 || h.repairs())
}

// stance is how the configuration stands to an assignment.
type stance int

const (
	unasked stance = iota
	agreed
	opposed
)

// stance compares an assignment with the configuration, and gives what that asks:
// of the parameter at load, of the setting else.
func (h *Host) stance(a inventory.Assignment) (asked string, s stance) {
	if !h.configured() {
		return "", unasked
	}
	if p, found := h.parameter(a.Name); a.Parameter && found {
		if sameParameter(a.Name, a.Value, p.Value) {
			return p.Value, agreed
		}
		return p.Value, opposed
	}
	w, found := h.want(a.Name)
	switch {
	// acct of the module is what namespaces begin with, acct of sysctl what holds in
	// this one: only the hash size is one variable.
	case !found, a.Parameter && a.Name != hashsize:
		return "", unasked
	case w.Satisfied(after(a, w.Value)):
		return w.String(), agreed
	}
	return w.String(), opposed
}

// after is the value that a setting has once an assignment was made over another
// value: tools that only raise or only lower may leave it.
func after(a inventory.Assignment, before string) string {
	have, err1 := strconv.ParseInt(before, 10, 64)
	gives, err2 := strconv.ParseInt(a.Value, 10, 64)
	if err1 == nil && err2 == nil && (a.AtLeast && gives <= have || a.AtMost && gives >= have) {
		return before
	}
	return a.Value
}

// sameParameter compares two values of a load-time parameter as the kernel takes
// them: hash sizes are rounded up, a bool is shown as Y or N.
func sameParameter(name, a, b string) bool {
	return parameterValue(name, a) == parameterValue(name, b)
}

func parameterValue(name, value string) string {
	switch name {
	case hashsize, expectHashsize:
		if n, err := strconv.ParseInt(value, 0, 64); err == nil && n > 0 {
			return strconv.FormatInt(sysfs.RoundHashsize(n), 10)
		}
	default:
		switch value {
		case "Y", "y", "1":
			return "1"
		case "N", "n", "0":
			return "0"
		}
	}
	return value
}

// overtaker is the assignment to which another one is lost, where it is one of the
// same setting: what is lost for other reasons (hidden, not the active profile)
// never happens at all.
func (h *Host) overtaker(a inventory.Assignment) (inventory.Assignment, bool) {
	for _, b := range h.Inventory.Assignments {
		place := b.Place.String()
		_, rest, found := strings.Cut(a.NoEffect, place)
		if b.Name == a.Name && b.Place != a.Place && found && (rest == "" || rest[0] < '0' || rest[0] > '9') {
			return b, true
		}
	}
	return inventory.Assignment{}, false
}

// acts reports whether an assignment has an effect at the time when it is made.
func (h *Host) acts(a inventory.Assignment) bool {
	if a.NoEffect == "" {
		return true
	}
	over, found := h.overtaker(a)
	return found && over.Phase > a.Phase
}

// otherOwners are the assignments by others that contradict the configuration.
func otherOwners(h *Host) []Finding {
	var found []Finding
	opposes := func(a inventory.Assignment) bool {
		_, s := h.stance(a)
		return !a.FromPersist && s == opposed
	}
	var opponents []inventory.Assignment
	for _, a := range h.Inventory.Assignments {
		if opposes(a) && h.acts(a) && (!a.TooEarly || h.holds(a.Name)) {
			opponents = append(opponents, a)
		}
	}
	for _, times := range byLine(opponents) {
		a := times[0]
		asked, _ := h.stance(a)
		f := Finding{
			ID: "other-owner", Severity: Warning,
			Summary:  fmt.Sprintf("%s, ctkeeper wants %s; %s", says(times), asked, h.outcome(a)),
			Evidence: []Evidence{h.line(a)},
		}
		if len(h.Config.Files) == 0 { // nobody has said yet which of the two is right
			f.Fix = []string{importWrite}
			f.Note = "Nothing is configured for ctkeeper: import takes over the values that the host's files have."
		} else {
			f.Evidence = append(f.Evidence, h.askedBy(a)...)
			f.Fix, f.Note = h.silence(a, opposes)
		}
		found = append(found, f)
	}
	return found
}

// byLine puts the assignments together that one line makes at several times.
func byLine(all []inventory.Assignment) [][]inventory.Assignment {
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

// says is a line's assignment as a sentence: "systemd-sysctl sets nf_conntrack_max to
// 65536 at boot".
func says(times []inventory.Assignment) string {
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
	return fmt.Sprintf("%s "+verb+" %s %s", list(whom), kernelName(a), a.Value, list(when))
}

// list is "a", "a and b", "a, b and c".
func list(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// outcome says which of the two stands, and when.
func (h *Host) outcome(a inventory.Assignment) string {
	switch _, found := h.parameter(a.Name); {
	case a.Parameter && found:
		return "the module comes up with " + a.Value
	case h.repairs() && h.locks(a):
		return "ctkeeper's guard refuses it while the daemon runs, and else ctkeeper writes it back"
	case h.repairs():
		return "ctkeeper writes it back each time"
	}
	return "nothing writes it back: no daemon enforces the configuration here"
}

// askedBy is the place in the configuration that asks for what an assignment sets.
func (h *Host) askedBy(a inventory.Assignment) []Evidence {
	origin, text := "", ""
	if p, found := h.parameter(a.Name); a.Parameter && found {
		origin, text = p.Origin, p.Name+": "+p.Value
	} else if w, found := h.want(a.Name); found {
		origin, text = w.Origin, w.Setting.Name+": "+w.String()
	}
	if origin == "" {
		return nil
	}
	return []Evidence{{placeOf(origin), text}}
}

// ownersAgree are, file by file, the assignments by others that say what the
// configuration says, and those of settings that it does not ask for.
func ownersAgree(h *Host) []Finding {
	if h.Config == nil {
		return nil
	}
	var found []Finding
	for _, s := range []stance{agreed, unasked} {
		var these []inventory.Assignment
		for _, a := range h.Inventory.Assignments {
			if _, is := h.stance(a); !a.FromPersist && is == s && h.acts(a) && (!a.TooEarly || h.holds(a.Name)) {
				these = append(these, a)
			}
		}
		files, names, lines := []string{}, map[string][]string{}, map[string][]Evidence{}
		for _, times := range byLine(these) {
			a := times[0]
			if !slices.Contains(files, a.File) {
				files = append(files, a.File)
			}
			if name := kernelName(a); !slices.Contains(names[a.File], name) {
				names[a.File] = append(names[a.File], name)
			}
			lines[a.File] = append(lines[a.File], h.line(a))
		}
		for _, file := range files {
			f := Finding{ID: "other-owner", Severity: Info, Evidence: lines[file]}
			f.Summary, f.Note = h.agreement(s, file, strings.Join(names[file], ", "))
			found = append(found, f)
		}
	}
	return found
}

func (h *Host) agreement(s stance, file, names string) (summary, note string) {
	switch {
	case s == unasked:
		return fmt.Sprintf("%s sets %s, for which ctkeeper is not configured", file, names), "ctkeeper import shows it as configuration."
	case h.repairs():
		return fmt.Sprintf("%s says the same as ctkeeper of %s", file, names), "Those lines can be deleted: ctkeeper keeps the values."
	}
	return fmt.Sprintf("%s says the same as ctkeeper of %s", file, names), "Those lines can be deleted once ctkeeper is enabled and running."
}

// kernelName is how the kernel calls what an assignment sets, without net.netfilter.
func kernelName(a inventory.Assignment) string {
	if s := sysfs.Lookup(a.Name); !a.Parameter && a.Name != hashsize && s != nil {
		return strings.TrimPrefix(s.Sysctl(), "net.netfilter.")
	}
	return a.Name
}

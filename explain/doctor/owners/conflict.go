package owners

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/fixes"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// oldMax is the second name of nf_conntrack_max.
const oldMax = "net.nf_conntrack_max"

// checkContradictions are the settings that several lines of the host's files give
// different values, or give under two names.
func checkContradictions(h *picture.Host) []finding.Finding {
	var names []string
	groups := map[string][]inventory.Assignment{}
	for _, a := range h.Inventory.Assignments {
		over, overtaken := h.Overtaker(a)
		if a.FromPersist || a.NoEffect != "" && (!overtaken || over.FromPersist || a.AtLeast || a.AtMost) {
			continue
		}
		name := picture.KernelName(a)
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
		groups[name] = append(groups[name], a)
	}
	var found []finding.Finding
	for _, name := range names {
		if f, ok := contradiction(h, name, groups[name]); ok {
			found = append(found, f)
		}
	}
	return found
}

// contradiction judges the assignments of one setting, in the order in which they
// are made.
func contradiction(h *picture.Host, name string, all []inventory.Assignment) (finding.Finding, bool) {
	keys, values, places := keysOf(all), valuesOf(all), map[string]bool{}
	for _, a := range all {
		places[a.Place.String()] = true
	}
	if len(places) < 2 || len(keys) < 2 && len(values) < 2 {
		return finding.Finding{}, false
	}
	f := finding.Finding{ID: "contradiction", Severity: finding.Warning}
	if len(values) < 2 || h.IsEnforced(all[0].Name) {
		f.Severity = finding.Info
	}
	winners := strings.Join(winners(h, all), ", then ")
	f.Summary = fmt.Sprintf("%s is given %d different values; in force: %s", name, len(values), winners)
	if len(keys) > 1 {
		f.ID = "two-names"
		f.Summary = fmt.Sprintf("%s are one setting, and the files use both names; in force: %s", finding.List(keys), winners)
	}
	for _, times := range groupByLine(all) {
		var fates []string
		for _, a := range times {
			fates = append(fates, outcomeOf(a))
		}
		e := h.AssignmentEvidence(times[0])
		e.Text += " (" + strings.Join(fates, "; ") + ")"
		f.Evidence = append(f.Evidence, e)
	}
	if f.Severity == finding.Warning {
		f.Fix, f.Note = removeLosers(h, all)
	}
	return f, true
}

// outcomeOf is who makes an assignment, when, and what becomes of it.
func outcomeOf(a inventory.Assignment) string {
	text := a.Tool + ", " + a.Phase.String()
	switch {
	case a.TooEarly:
		return text + ": too early, the module is not there yet"
	case a.NoEffect != "":
		return text + ": lost, " + a.NoEffect
	}
	return text + ": wins"
}

// winners are the values in their order in time: the last one of each phase.
func winners(h *picture.Host, all []inventory.Assignment) []string {
	var winning []inventory.Assignment
	for i, a := range all {
		last := i+1 == len(all) || all[i+1].Phase != a.Phase
		if h.HasEffect(a) && !a.TooEarly && (last || a.NoEffect == "") {
			winning = append(winning, a)
		}
	}
	var lines []string
	for _, times := range groupByLine(winning) {
		var when []string
		for _, a := range times {
			when = append(when, a.Phase.String())
		}
		lines = append(lines, fmt.Sprintf("%s of %s %s", times[0].Value, times[0].Place, finding.List(when)))
	}
	if len(lines) == 0 {
		return []string{"none of them is in time"}
	}
	return lines
}

// removeLosers takes out the lines that do not decide what a setting is in the
// end: what the host comes to stays.
func removeLosers(h *picture.Host, all []inventory.Assignment) (fix []string, note string) {
	loses := func(a inventory.Assignment) bool {
		over, overtaken := h.Overtaker(a)
		return !a.FromPersist && overtaken && !over.FromPersist
	}
	for _, a := range all {
		if !loses(a) {
			continue
		}
		commands, hint := fixes.RemoveAssignment(h, a, loses)
		for _, c := range commands {
			if !slices.Contains(fix, c) {
				fix = append(fix, c)
			}
		}
		if note == "" {
			note = hint
		}
	}
	return fix, note
}

// keysOf are the names of the kernel that assignments use: a setting may have two.
func keysOf(all []inventory.Assignment) []string {
	var keys []string
	for _, a := range all {
		if a.Tool == "kube-proxy" || a.Tool == "k3s" { // they have words of their own, which name no key
			continue
		}
		key := a.Name
		if s := sysfs.Lookup(a.Name); !a.Parameter && s != nil {
			key = s.Sysctl()
		}
		switch {
		case strings.HasSuffix(strings.ReplaceAll(a.Key, "/", "."), oldMax):
			key = oldMax
		case a.Name == picture.Hashsize && strings.HasSuffix(a.Key, picture.Hashsize):
			key = picture.Hashsize
		}
		if !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys
}

// valuesOf are the different values of assignments, as the kernel takes them, in
// the order in which they come. One that only raises and raises nothing is none.
func valuesOf(all []inventory.Assignment) []string {
	var values []string
	before := ""
	for _, a := range all {
		value := strings.Join(strings.Fields(picture.ValueAfter(a, before)), " ")
		if n, err := strconv.ParseInt(value, 0, 64); err == nil {
			if a.Name == picture.Hashsize && n > 0 {
				n = sysfs.RoundHashsize(n)
			}
			value = strconv.FormatInt(n, 10)
		}
		if before = value; !slices.Contains(values, value) {
			values = append(values, value)
		}
	}
	return values
}

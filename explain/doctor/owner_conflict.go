package doctor

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// oldMax is the second name of nf_conntrack_max.
const oldMax = "net.nf_conntrack_max"

// contradictions are the settings that several lines of the host's files give
// different values, or give under two names.
func contradictions(h *Host) []Finding {
	var names []string
	groups := map[string][]inventory.Assignment{}
	for _, a := range h.Inventory.Assignments {
		over, overtaken := h.overtaker(a)
		if a.FromPersist || a.NoEffect != "" && (!overtaken || over.FromPersist || a.AtLeast || a.AtMost) {
			continue
		}
		name := kernelName(a)
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
		groups[name] = append(groups[name], a)
	}
	var found []Finding
	for _, name := range names {
		if f, ok := h.contradiction(name, groups[name]); ok {
			found = append(found, f)
		}
	}
	return found
}

// contradiction judges the assignments of one setting, in the order in which they
// are made.
func (h *Host) contradiction(name string, all []inventory.Assignment) (Finding, bool) {
	keys, values, places := keysOf(all), valuesOf(all), map[string]bool{}
	for _, a := range all {
		places[a.Place.String()] = true
	}
	if len(places) < 2 || len(keys) < 2 && len(values) < 2 {
		return Finding{}, false
	}
	f := Finding{ID: "contradiction", Severity: Warning}
	if len(values) < 2 || h.holds(all[0].Name) {
		f.Severity = Info
	}
	winners := strings.Join(h.winners(all), ", then ")
	f.Summary = fmt.Sprintf("%s is given %d different values; in force: %s", name, len(values), winners)
	if len(keys) > 1 {
		f.ID = "two-names"
		f.Summary = fmt.Sprintf("%s are one setting, and the files use both names; in force: %s", list(keys), winners)
	}
	for _, times := range byLine(all) {
		var fates []string
		for _, a := range times {
			fates = append(fates, fate(a))
		}
		e := h.line(times[0])
		e.Text += " (" + strings.Join(fates, "; ") + ")"
		f.Evidence = append(f.Evidence, e)
	}
	if f.Severity == Warning {
		f.Fix, f.Note = h.silenceLosers(all)
	}
	return f, true
}

// fate is who makes an assignment, when, and what becomes of it.
func fate(a inventory.Assignment) string {
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
func (h *Host) winners(all []inventory.Assignment) []string {
	var winning []inventory.Assignment
	for i, a := range all {
		last := i+1 == len(all) || all[i+1].Phase != a.Phase
		if h.acts(a) && !a.TooEarly && (last || a.NoEffect == "") {
			winning = append(winning, a)
		}
	}
	var lines []string
	for _, times := range byLine(winning) {
		var when []string
		for _, a := range times {
			when = append(when, a.Phase.String())
		}
		lines = append(lines, fmt.Sprintf("%s of %s %s", times[0].Value, times[0].Place, list(when)))
	}
	if len(lines) == 0 {
		return []string{"none of them is in time"}
	}
	return lines
}

// silenceLosers takes out the lines that do not decide what a setting is in the
// end: what the host comes to stays.
func (h *Host) silenceLosers(all []inventory.Assignment) (fix []string, note string) {
	loses := func(a inventory.Assignment) bool {
		over, overtaken := h.overtaker(a)
		return !a.FromPersist && overtaken && !over.FromPersist
	}
	for _, a := range all {
		if !loses(a) {
			continue
		}
		commands, hint := h.silence(a, loses)
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
		case a.Name == hashsize && strings.HasSuffix(a.Key, hashsize):
			key = hashsize
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
		value := strings.Join(strings.Fields(after(a, before)), " ")
		if n, err := strconv.ParseInt(value, 0, 64); err == nil {
			if a.Name == hashsize && n > 0 {
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

package owners

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// oldMax is the second name of nf_conntrack_max.
const oldMax = "net.nf_conntrack_max"

// checkContradictions reports settings to which several lines of the host's files assign different
// values, or which they name by two names.
func checkContradictions(h *picture.Host) []finding.Finding {
	var names []string
	groups := map[string][]inventory.Assignment{}
	for _, a := range h.Inventory.Assignments {
		over, isOverridden := h.Overrider(a)
		if a.FromPersist || a.Uncertain != "" ||
			a.NoEffect != "" && (!isOverridden || over.FromPersist || a.AtLeast || a.AtMost) {
			continue
		}
		name := picture.KernelName(a)
		names, groups[name] = append(names, name), append(groups[name], a)
	}
	var found []finding.Finding
	for _, name := range finding.Unique(names) {
		if f, isContradiction := contradiction(h, name, groups[name]); isContradiction {
			found = append(found, f)
		}
	}
	return found
}

// contradiction returns the finding about the assignments of one setting, in the order in which they are
// made. It returns none if the live value shows another order.
func contradiction(h *picture.Host, name string, all []inventory.Assignment) (finding.Finding, bool) {
	keys, values, places := keysOf(all), valuesOf(all), map[string]bool{}
	for _, a := range all {
		places[a.Place.String()] = true
	}
	live, isLive := h.Settings[all[0].Name]
	isOther := isLive && !h.Inventory.Outcome(all[0].Name, live).HasLive(live)
	if len(places) < 2 || len(keys) < 2 && (isOther || len(values) < 2) {
		return finding.Finding{}, false
	}
	f := finding.Finding{ID: "contradiction", Severity: finding.Info}
	if !h.IsEnforced(all[0].Name) && (len(keys) > 1 && isOneTool(all) || isTakenOver(h, all)) && len(values) > 1 {
		f.Severity = finding.Warning
		f.Note = "Keep one of them: this is the order of each boot."
	}
	applied := strings.Join(winners(h, all), ", then ")
	f.Summary = fmt.Sprintf("%s is set to %d different values; applied: %s", name, len(values), applied)
	if len(keys) > 1 {
		f.ID = "two-names"
		f.Summary = fmt.Sprintf("%s are one setting, and the files use both names; applied: %s", finding.List(keys),
			applied)
	}
	for _, times := range groupByLine(all) {
		var outcomes []string
		for _, a := range times {
			outcomes = append(outcomes, outcomeOf(a))
		}
		e := h.AssignmentEvidence(times[0])
		e.Text += " (" + strings.Join(outcomes, "; ") + ")"
		f.Evidence = append(f.Evidence, e)
	}
	return f, true
}

// isOneTool reports whether one tool makes all the assignments.
func isOneTool(all []inventory.Assignment) bool {
	return !slices.ContainsFunc(all, func(a inventory.Assignment) bool { return a.Tool != all[0].Tool })
}

// isTakenOver reports whether a service overrides a line of the administrator. Every other order is how
// its format is meant: /etc over /usr/lib, a later file over an earlier one, a sysctl over a load-time
// parameter.
func isTakenOver(h *picture.Host, all []inventory.Assignment) bool {
	return slices.ContainsFunc(all, func(a inventory.Assignment) bool {
		over, found := h.Overrider(a)
		isOwn := strings.HasPrefix(a.File, "/etc/") && a.Phase < inventory.AtFirewallStart
		return found && isOwn && over.Phase >= inventory.AtFirewallStart && !sameValue(a, over)
	})
}

// sameValue reports whether the kernel stores the values of two assignments of a setting as one.
func sameValue(a, b inventory.Assignment) bool {
	return len(valuesOf([]inventory.Assignment{a, b})) == 1
}

// outcomeOf returns which tool makes an assignment, when, and whether it is applied.
func outcomeOf(a inventory.Assignment) string {
	text := a.Tool + ", " + a.Phase.String()
	switch {
	case a.TooEarly:
		return text + ": too early, the module is not loaded yet"
	case a.NoEffect != "":
		return text + ": no effect, " + a.NoEffect
	}
	return text + ": applied"
}

// winners returns the applied values in the order of time: the last one of each phase.
func winners(h *picture.Host, all []inventory.Assignment) []string {
	var winning []inventory.Assignment
	for i, a := range all {
		isLast := i+1 == len(all) || all[i+1].Phase != a.Phase
		if h.HasEffect(a) && !a.TooEarly && (isLast || a.NoEffect == "") {
			winning = append(winning, a)
		}
	}
	var lines []string
	for _, times := range groupByLine(winning) {
		var phases []string
		for _, a := range times {
			phases = append(phases, a.Phase.String())
		}
		lines = append(lines, fmt.Sprintf("%s of %s %s", times[0].Value, times[0].Place, finding.List(phases)))
	}
	if len(lines) == 0 {
		return []string{"none, all of them are too early"}
	}
	return lines
}

// keysOf returns the kernel's names that assignments use: a setting can have two. kube-proxy and k3s are
// left out, because their options do not name a key.
func keysOf(all []inventory.Assignment) []string {
	var keys []string
	for _, a := range all {
		key := a.Name
		if s := sysfs.Lookup(a.Name); !a.Parameter && s != nil {
			key = s.Sysctl()
		}
		switch {
		case a.Tool == picture.KubeProxy || a.Tool == "k3s" || a.Tool == "rke2":
			continue
		case strings.HasSuffix(strings.ReplaceAll(a.Key, "/", "."), oldMax):
			key = oldMax
		case a.Name == sysfs.Hashsize && strings.HasSuffix(a.Key, sysfs.Hashsize):
			key = sysfs.Hashsize
		}
		keys = append(keys, key)
	}
	return finding.Unique(keys)
}

// valuesOf returns the different values of assignments as the kernel stores them, in their order. An
// assignment that only raises, and does not raise the value before, adds none.
func valuesOf(all []inventory.Assignment) []string {
	var values []string
	before := ""
	for _, a := range all {
		before = strings.Join(strings.Fields(picture.ValueAfter(a, before)), " ")
		if n, err := strconv.ParseInt(before, 0, 64); err == nil {
			if a.Name == sysfs.Hashsize && n > 0 {
				n = sysfs.RoundHashsize(n)
			}
			before = strconv.FormatInt(n, 10)
		}
		if !slices.Contains(values, before) {
			values = append(values, before)
		}
	}
	return values
}

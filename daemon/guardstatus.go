package daemon

import (
	"cmp"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/guard"
	"github.com/ctkeeper/ctkeeper/host/capability"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/sysfs"
	"github.com/ctkeeper/ctkeeper/systemd"
)

// lockNote is what a lock does not protect against.
const lockNote = "keeps honest programs off; it is no defence against root, who can write hashsize through sysfs, " +
	"unload the module or stop the daemon"

// guardOff describes a configured guard while none runs.
func guardOff(wanted config.Guard) status.Guard {
	return status.Guard{
		Mode: string(wanted.Mode), State: status.GuardOff, Names: []string{}, Missing: []capability.Missing{},
		Locked: []string{}, Allow: append([]string{}, wanted.Allow...), Refused: []status.RefusedWrites{},
	}
}

// abilityNames returns the names of a guard's abilities in a document.
func abilityNames(can guard.Features) []string {
	names := []string{}
	for _, each := range []struct {
		can  bool
		name string
	}{{can.PID, "pid"}, {can.Comm, "comm"}, {can.Unit, "unit"}, {can.Modules, "module"}, {can.Sysfs, "sysfs"}} {
		if each.can {
			names = append(names, each.name)
		}
	}
	return names
}

// missingWithHints returns what is missing as a document has it. Where a capability is missing
// the hint is how the service gets it.
func missingWithHints(all ...capability.Missing) []capability.Missing {
	out := []capability.Missing{}
	for _, m := range all {
		switch {
		case m.Hint != "" || m.Capability == "":
		case m.Capability == guard.CapPerfmon:
			m.Hint = systemd.PerfmonStep
		default:
			m.Hint = systemd.GuardStep
		}
		out = append(out, m)
	}
	return out
}

// joinMissing renders what is missing for a log: each reason once, with everything that it
// takes away, and each hint once.
func joinMissing(all []capability.Missing) (missing, hint string) {
	byReason := slices.Clone(all)
	slices.SortStableFunc(byReason, func(a, b capability.Missing) int { return cmp.Compare(a.Why, b.Why) })
	var parts, hints []string
	for i, m := range byReason {
		if i > 0 && byReason[i-1].Why == m.Why {
			parts[len(parts)-1] += ", " + m.What
		} else {
			parts = append(parts, m.Why+": "+m.What)
		}
		if m.Hint != "" && !slices.Contains(hints, m.Hint) {
			hints = append(hints, m.Hint)
		}
	}
	return strings.Join(parts, "; "), strings.Join(hints, "; ")
}

// addRefusal adds a refused write to those of its setting, in the order of the catalogue.
func addRefusal(all []status.RefusedWrites, r guard.Refusal) []status.RefusedWrites {
	i := slices.IndexFunc(all, func(w status.RefusedWrites) bool { return w.Setting == r.Setting.Name })
	if i < 0 {
		order := func(name string) int {
			return slices.IndexFunc(sysfs.Catalogue(), func(s *sysfs.Setting) bool { return s.Name == name })
		}
		i = slices.IndexFunc(all, func(w status.RefusedWrites) bool { return order(w.Setting) > order(r.Setting.Name) })
		if i < 0 {
			i = len(all)
		}
		all = slices.Insert(all, i, status.RefusedWrites{Setting: r.Setting.Name})
	}
	w := &all[i]
	w.Count++
	w.Last.At, w.Last.Value, w.Last.By = r.At, r.Value, r.By
	return all
}

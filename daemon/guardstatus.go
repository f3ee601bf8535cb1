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

// lockNote and holdNote are the limits of a guard that blocks writes, in the status document.
const (
	lockNote  = "blocks accidental changes; " + noDefence
	holdNote  = "foreign writes succeed without effect: change values in ctkeeper's configuration; " + noDefence
	noDefence = "it is no defence against root, who can write hashsize through sysfs, unload the module or stop " +
		"the daemon"
)

// stoppedGuard returns the status of a guard that is configured and does not run.
func stoppedGuard(wanted config.Guard) status.Guard {
	return status.Guard{
		Mode: string(wanted.Mode), State: status.GuardOff, Names: []string{}, Missing: []capability.Missing{},
		Locked: []string{}, Held: []string{}, Allow: append([]string{}, wanted.Allow...),
		Refused: []status.BlockedWrites{}, Absorbed: []status.BlockedWrites{},
	}
}

// featureNames returns the names of a guard's features in a document.
func featureNames(features guard.Features) []string {
	names := []string{}
	for _, each := range []struct {
		has  bool
		name string
	}{
		{features.PID, "pid"}, {features.Comm, "comm"}, {features.Unit, "unit"}, {features.Pod, "pod"},
		{features.Netns, "netns"}, {features.Modules, "module"}, {features.Sysfs, "sysfs"},
	} {
		if each.has {
			names = append(names, each.name)
		}
	}
	return names
}

// missingWithHints returns the missing features for a document. If a capability is missing, the hint is
// how to grant it to the service.
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

// joinMissing renders the missing features for a log: each reason once, with all features that are
// missing because of it, and each hint once.
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

// addBlocked adds a blocked write to those of its setting, in the order of the catalogue.
func addBlocked(all []status.BlockedWrites, r guard.BlockedWrite) []status.BlockedWrites {
	i := slices.IndexFunc(all, func(w status.BlockedWrites) bool { return w.Setting == r.Setting.Name })
	if i < 0 {
		order := func(name string) int {
			return slices.IndexFunc(sysfs.Catalogue(), func(s *sysfs.Setting) bool { return s.Name == name })
		}
		i = slices.IndexFunc(all, func(w status.BlockedWrites) bool { return order(w.Setting) > order(r.Setting.Name) })
		if i < 0 {
			i = len(all)
		}
		all = slices.Insert(all, i, status.BlockedWrites{Setting: r.Setting.Name})
	}
	w := &all[i]
	w.Count++
	w.Last.At, w.Last.Value, w.Last.By = r.At, r.Value, r.By
	return all
}

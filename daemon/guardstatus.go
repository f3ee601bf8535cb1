package daemon

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/guard"
	"github.com/ctkeeper/ctkeeper/sysfs"
	"github.com/ctkeeper/ctkeeper/systemd"
)

// GuardState is what the guard does.
type GuardState string

// The states of the guard.
const (
	// GuardIsOff is a guard that is not asked for, or has no daemon to keep it.
	GuardIsOff GuardState = "off"
	// GuardWatches and GuardLocks are a guard that does as its mode says.
	GuardWatches GuardState = "watching"
	GuardLocks   GuardState = "locked"
	// GuardUnavailable is one that cannot be had here; Error says why, and how to have it.
	GuardUnavailable GuardState = "unavailable"
)

// GuardStatus tells of the guard.
type GuardStatus struct {
	// Mode is what the configuration asks for.
	Mode  config.GuardMode `json:"mode"`
	State GuardState       `json:"state"`
	Error string           `json:"error,omitempty"`
	// Names is what can be told of who writes: pid, comm, unit; of who loads the module:
	// module; of who writes hashsize through sysfs: sysfs.
	Names []string `json:"names"`
	// Missing is what cannot be told or done here.
	Missing []guard.Missing `json:"missing"`
	// Note says of a lock what it is worth; empty for others.
	Note string `json:"note,omitempty"`
	// Locked are the settings that refuse foreign writes now.
	Locked []string `json:"locked"`
	// Allow are the units whose writes are let through.
	Allow []string `json:"allow"`
	// Refused are the writes that were refused since the daemon's start, by setting, in the
	// order of the catalogue.
	Refused []RefusedWrites `json:"refused"`
}

// RefusedWrites are the writes to one setting that were refused.
type RefusedWrites struct {
	Setting string `json:"setting"`
	Count   int    `json:"count"`
	// Last is the last of them: when, who, and which value.
	Last struct {
		At    time.Time    `json:"at"`
		Value string       `json:"value"`
		By    sysfs.Writer `json:"by"`
	} `json:"last"`
}

// lockWorth says what a lock is worth.
const lockWorth = "keeps honest programs off; it is no defence against root, who can write hashsize through sysfs, unload the module or stop the daemon"

// guardOff is the guard of a configuration while there is none.
func guardOff(wanted config.Guard) GuardStatus {
	return GuardStatus{
		Mode: wanted.Mode, State: GuardIsOff, Names: []string{}, Missing: []guard.Missing{},
		Locked: []string{}, Allow: append([]string{}, wanted.Allow...), Refused: []RefusedWrites{},
	}
}

// told is what a guard's abilities are called in a status.
func told(can guard.Abilities) []string {
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

// withWayOut says how the service gets the rights that something lacks.
func withWayOut(all ...guard.Missing) []guard.Missing {
	out := []guard.Missing{}
	for _, m := range all {
		switch {
		case m.Hint != "" || m.Right == "":
		case m.Right == guard.RightPerfmon:
			m.Hint = systemd.PerfmonStep
		default:
			m.Hint = systemd.GuardStep
		}
		out = append(out, m)
	}
	return out
}

// inWords says what is missing, for a log: each reason once, with all that it takes away.
func inWords(all []guard.Missing) (missing, hint string) {
	byReason := slices.Clone(all)
	slices.SortStableFunc(byReason, func(a, b guard.Missing) int { return cmp.Compare(a.Why, b.Why) })
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

// count adds a refused write to those of its setting, in the catalogue's order.
func count(all []RefusedWrites, r guard.Refusal) []RefusedWrites {
	i := slices.IndexFunc(all, func(w RefusedWrites) bool { return w.Setting == r.Setting.Name })
	if i < 0 {
		order := func(name string) int {
			return slices.IndexFunc(sysfs.Catalogue(), func(s *sysfs.Setting) bool { return s.Name == name })
		}
		i = slices.IndexFunc(all, func(w RefusedWrites) bool { return order(w.Setting) > order(r.Setting.Name) })
		if i < 0 {
			i = len(all)
		}
		all = slices.Insert(all, i, RefusedWrites{Setting: r.Setting.Name})
	}
	w := &all[i]
	w.Count++
	w.Last.At, w.Last.Value, w.Last.By = r.At, r.Value, r.By
	return all
}

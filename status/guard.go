package status

import (
	"cmp"
	"time"

	"github.com/ctkeeper/ctkeeper/host/capability"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// GuardState is what the guard does now.
type GuardState string

// The states of the guard.
const (
	// GuardOff is a guard that is not configured, or that no daemon runs.
	GuardOff GuardState = "off"
	// GuardWatching is one that names writers, GuardLocked one that also refuses their writes, and
	// GuardHolding one that absorbs them.
	GuardWatching GuardState = "watching"
	GuardLocked   GuardState = "locked"
	GuardHolding  GuardState = "holding"
	// GuardUnavailable is one that this host cannot run; Guard.Error is the reason.
	GuardUnavailable GuardState = "unavailable"
)

// Guard describes the guard.
type Guard struct {
	// Mode is the configuration's: off, watch, hold or lock.
	Mode  string     `json:"mode"`
	State GuardState `json:"state"`
	Error string     `json:"error,omitempty"`
	// Names is what can be known of a writer (pid, comm, unit, pod), of the network namespace of a write (netns),
	// of who loads the module (module) and of who writes hashsize through sysfs (sysfs).
	Names []string `json:"names"`
	// Missing is what cannot be known or done on this host.
	Missing []capability.Missing `json:"missing"`
	// Note is what a guard that blocks writes does not protect against; empty if it blocks none.
	Note string `json:"note,omitempty"`
	// Locked are the settings whose foreign writes are refused now, Held those whose are absorbed.
	Locked []string `json:"locked"`
	Held   []string `json:"held"`
	// Allow are the units whose writes are accepted.
	Allow []string `json:"allow"`
	// Refused and Absorbed are the writes blocked since the daemon's start, by setting, in the
	// order of the catalogue.
	Refused  []BlockedWrites `json:"refused"`
	Absorbed []BlockedWrites `json:"absorbed"`
}

// BlockedWrites are the writes to one setting that were refused, or absorbed.
type BlockedWrites struct {
	Setting string `json:"setting"`
	Count   int    `json:"count"`
	// Last is the last of them.
	Last struct {
		At    time.Time    `json:"at"`
		Value string       `json:"value"`
		By    sysfs.Writer `json:"by"`
	} `json:"last"`
}

// IsConfigured reports whether the configuration asks for a guard.
func (g Guard) IsConfigured() bool {
	return g.Mode != "" && g.Mode != "off" // a daemon of a former version has no mode
}

// WantsBlock reports whether the configuration asks for foreign writes to be refused or absorbed.
func (g Guard) WantsBlock() bool { return g.Mode == "lock" || g.Mode == "hold" }

// IsGuardInEffect reports whether the guard does what the configuration asks for. In mode observe it only watches.
func (d Document) IsGuardInEffect() bool {
	want := map[string]GuardState{"": GuardOff, "off": GuardOff, "watch": GuardWatching, "hold": GuardHolding,
		"lock": GuardLocked}[d.Guard.Mode]
	if d.Guard.WantsBlock() && d.Daemon.Mode == reconcile.Observe {
		want = GuardWatching
	}
	return cmp.Or(d.Guard.State, GuardOff) == want
}

// Blocking describes how a guard blocks foreign writes.
type Blocking struct {
	// Verb and Participle say what is done with a write: "refuse" and "refused".
	Verb, Participle string
	Settings         []string
	Writes           []BlockedWrites
}

// Blocking returns how the guard blocks foreign writes now. ok is false where it blocks none.
func (g Guard) Blocking() (b Blocking, ok bool) {
	switch g.State {
	case GuardLocked:
		return Blocking{"refuse", "refused", g.Locked, g.Refused}, true
	case GuardHolding:
		return Blocking{"absorb", "absorbed", g.Held, g.Absorbed}, true
	}
	return Blocking{}, false
}

// Count returns how many writes were blocked, and those to the setting of the last one.
func (b Blocking) Count() (count int, last BlockedWrites) {
	for _, w := range b.Writes {
		if count += w.Count; w.Last.At.After(last.Last.At) {
			last = w
		}
	}
	return count, last
}

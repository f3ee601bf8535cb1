package status

import (
	"time"

	"github.com/ctkeeper/ctkeeper/host/capability"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// GuardState is what the guard does now.
type GuardState string

// The states of the guard.
const (
	// GuardOff is a guard that is not configured, or that no daemon runs.
	GuardOff GuardState = "off"
	// GuardWatching is one that names writers, GuardLocked one that also refuses their writes.
	GuardWatching GuardState = "watching"
	GuardLocked   GuardState = "locked"
	// GuardHolding is one that absorbs their writes.
	GuardHolding GuardState = "holding"
	// GuardUnavailable is one that this host cannot run; Guard.Error is the reason.
	GuardUnavailable GuardState = "unavailable"
)

// Guard describes the guard.
type Guard struct {
	// Mode is the configuration's: off, watch, hold or lock.
	Mode  string     `json:"mode"`
	State GuardState `json:"state"`
	Error string     `json:"error,omitempty"`
	// Names is what can be known of a writer (pid, comm, unit), of who loads the module
	// (module) and of who writes hashsize through sysfs (sysfs).
	Names []string `json:"names"`
	// Missing is what cannot be known or done on this host.
	Missing []capability.Missing `json:"missing"`
	// Note is what a lock does not protect against; empty without a lock.
	Note string `json:"note,omitempty"`
	// Locked are the settings that refuse foreign writes now.
	Locked []string `json:"locked"`
	// Allow are the units whose writes are accepted.
	Allow []string `json:"allow"`
	// Refused are the writes refused since the daemon's start, by setting, in the order of
	// the catalogue.
	Refused []RefusedWrites `json:"refused"`
}

// RefusedWrites are the writes to one setting that were refused.
type RefusedWrites struct {
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

// WantsLock reports whether the configuration asks for foreign writes to be refused.
func (g Guard) WantsLock() bool { return g.Mode == "lock" }

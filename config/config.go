package config

import (
	"time"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// DefaultOrigin is the file of a value that no file sets.
const DefaultOrigin = "(default)"

// GuardMode says what is done about foreign writes, beside repairing them.
type GuardMode string

// The modes of the guard, by their names in configurations.
const (
	// GuardOff leaves writers unnamed; containers' are found by the regular look.
	GuardOff GuardMode = "off"
	// GuardWatch names every writer and sees every write at once.
	GuardWatch GuardMode = "watch"
	// GuardLock also refuses foreign writes of another value to hashsize (its sysctl), max and
	// expect_max.
	GuardLock GuardMode = "lock"
)

// Guard is the section of the same name.
type Guard struct {
	// Mode is GuardOff unless configured.
	Mode GuardMode
	// Allow are the units whose writes the lock lets through, sorted, none twice.
	Allow []string
}

// What enforcement.resync is and may be. It cannot be switched off: inotify is
// blind to writes through another procfs instance, as from a container, and where
// the guard is off or cannot be had only a periodic look finds those.
const (
	DefaultResync = 5 * time.Second
	MinResync     = 100 * time.Millisecond
	MaxResync     = time.Hour
)

// Config is one merged, validated configuration. It is not changed once loaded.
type Config struct {
	// Desired has the wanted settings in catalogue order, then those that are not in the
	// catalogue by name; "auto" is a number here. Its Mode is enforce unless configured, its
	// Resync from MinResync to MaxResync.
	reconcile.Desired
	// Module is what is asked of the module itself.
	Module Module
	// Guard is how foreign writers are dealt with.
	Guard Guard
	// Metrics is where to serve metrics.
	Metrics Metrics

	// Files are the files read, in the order in which the later wins, as the host
	// sees them (without the root directory). Empty: the embedded default.
	Files []string
	// Hidden are the files that were found and not read.
	Hidden []Hidden
	// Warnings are for people: files that look like drop-ins and are not read,
	// sysctl names that look misspelt, values at odds with each other.
	Warnings []string
	// Origins has the place of every value that is neither a want nor a module
	// parameter: "enforcement.mode" → line 7 of /etc/ctkeeper/ctkeeper.yaml, or
	// DefaultOrigin. All such keys are present.
	Origins map[string]tree.Place
}

// Module is the section of the same name.
type Module struct {
	// Load asks to load nf_conntrack at start when it is absent.
	Load bool
	// Parameters are load-time values for modprobe.d, sorted by name.
	Parameters []Parameter
}

// Parameter is a load-time parameter of the module nf_conntrack.
type Parameter struct {
	Name string
	// Value is as modprobe.d takes it: a decimal number, 0 or 1 for a bool.
	Value string
	// Origin is the place of the value.
	Origin tree.Place
}

// Hidden is a file that was found and not read.
type Hidden struct {
	File string `json:"file" yaml:"file"`
	// Why is "hidden by FILE", "link to /dev/null" or "empty file".
	Why string `json:"why" yaml:"why"`
}

// Keys of Origins, which are the dotted keys in the files.
const (
	keyModuleLoad       = "module.load"
	keyMode             = "enforcement.mode"
	keyResync           = "enforcement.resync"
	keyGuardMode        = "guard.mode"
	keyGuardAllow       = "guard.allow"
	keyMetricsListen    = "metrics.listen"
	keyMetricsWebConfig = "metrics.web_config"
	keyMetricsTextfile  = "metrics.textfile"
)

// Want finds what is asked of the setting of this catalogue name.
func (c *Config) Want(name string) (sysfs.Want, bool) {
	for _, w := range c.Wants {
		if w.Setting.Name == name {
			return w, true
		}
	}
	return sysfs.Want{}, false
}

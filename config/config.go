package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// DefaultOrigin is the file of a value that no file sets.
const DefaultOrigin = "(default)"

// ObserveOrigin is the file of a value that Source.Observe sets.
const ObserveOrigin = "(--observe)"

// The limits of enforcement.resync. It cannot be switched off: inotify does not see writes
// through another procfs instance, as from a container, and without the guard only a periodic
// pass finds them.
const (
	DefaultResync = 5 * time.Second
	guardedResync = 30 * time.Second // the default while the guard reports every write
	MinResync     = 100 * time.Millisecond
	MaxResync     = time.Hour
)

// Config is one merged, validated configuration. It must not be changed after Load.
type Config struct {
	// Desired has the wanted settings in catalogue order, then those that are not in the
	// catalogue, by name; "auto" is a number here. Its Mode is enforce unless configured, its
	// Resync from MinResync to MaxResync.
	reconcile.Desired
	// Module and Guard are the sections of the same names.
	Module Module
	Guard  Guard

	// Files are the files that were read, as the host has them (without the root directory). A
	// later file overrides an earlier one.
	Files []string
	// Hash is the first 12 hexadecimal digits of the SHA-256 of Files, one after the other, as
	// "cat FILES | sha256sum" prints it: hosts with equal files have the same. Empty without files.
	Hash string
	// UsesDefault is true where no file has settings: Wants are those of the embedded default.
	UsesDefault bool
	// Hidden are the files that were found and not read.
	Hidden []Hidden
	// Warnings are for people: files that look like drop-ins and are not read, sysctl names that
	// look misspelt, values that contradict each other.
	Warnings []string
	// Origins has the place of every value that is neither a want nor a module parameter:
	// "enforcement.mode" → line 7 of /etc/ctkeeper/ctkeeper.yaml, or DefaultOrigin. It has all
	// such keys.
	Origins map[string]tree.Place
}

// Module is the section module.
type Module struct {
	// Load is true where nf_conntrack is to be loaded at start when it is absent.
	Load bool
	// Parameters are load-time values for modprobe.d, sorted by name.
	Parameters []Parameter
}

// Parameter is a load-time parameter of the module nf_conntrack.
type Parameter struct {
	Name string
	// Value is in modprobe.d's notation: a decimal number, 0 or 1 for a bool.
	Value string
	// Origin is the place of the value.
	Origin tree.Place
}

// Hidden is a file that was found and not read.
type Hidden struct {
	File string `json:"file"`
	// Why is "hidden by FILE", "link to /dev/null" or "empty file".
	Why string `json:"why"`
}

// The keys of Origins, which are the dotted keys of the files.
const (
	keyModuleLoad = "module.load"
	keyMode       = "enforcement.mode"
	keyResync     = "enforcement.resync"
	keyGuardMode  = "guard.mode"
	keyGuardAllow = "guard.allow"
)

// Want returns the want of the setting with this catalogue name, if there is one.
func (c *Config) Want(name string) (sysfs.Want, bool) {
	for _, w := range c.Wants {
		if w.Setting.Name == name {
			return w, true
		}
	}
	return sysfs.Want{}, false
}

// Fingerprint is equal for two configurations with the same values, whatever their origins: a
// reload with the same fingerprint changes nothing.
func (c *Config) Fingerprint() string {
	sum := sha256.New()
	for _, w := range c.Wants {
		fmt.Fprintf(sum, "%s %s %q\n", w.Setting.Name, w.Policy, w.Value.String())
	}
	for _, p := range c.Module.Parameters {
		fmt.Fprintf(sum, "parameter %s %q\n", p.Name, p.Value)
	}
	fmt.Fprintf(sum, "%t %s %s %s %q\n", c.Module.Load, c.Mode, c.Resync, c.Guard.Mode, c.Guard.Allow)
	return hex.EncodeToString(sum.Sum(nil))
}

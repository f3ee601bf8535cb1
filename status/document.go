package status

import (
	"slices"
	"strings"
	"time"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// API is the "api" of every JSON document, the number 1. It changes when a document changes in a
// way that a program which reads it has to know.
type API struct{}

// MarshalJSON returns the number.
func (API) MarshalJSON() ([]byte, error) { return []byte("1"), nil }

// UnmarshalJSON accepts any number: the daemon and its reader may be of different versions.
func (*API) UnmarshalJSON([]byte) error { return nil }

// Document is what ctkeeper status prints and /v1/status serves.
type Document struct {
	API    API    `json:"api"`
	Daemon Daemon `json:"daemon"`
	// Kernel is the release of the running kernel (uname -r); empty if it cannot be read.
	Kernel   string                    `json:"kernel"`
	Module   Module                    `json:"module"`
	Settings []reconcile.SettingStatus `json:"settings"`
	Table    Table                     `json:"table"`
	Guard    Guard                     `json:"guard"`
	// Headline is the state in one sentence; Problems is what is wrong, the worst first. Judge sets both.
	Headline string    `json:"headline"`
	Problems []Problem `json:"problems"`
}

// Daemon describes the daemon itself.
type Daemon struct {
	Running bool `json:"running"`
	// Error is why a daemon that may be running did not answer.
	Error   string `json:"error,omitempty"`
	PID     int    `json:"pid,omitzero"`
	Version string `json:"version,omitempty"`
	// Commit is the commit that it was built from, with "-modified" if files were changed; empty if that is not known.
	Commit string `json:"commit,omitempty"`
	// GoVersion is the version of Go that built it.
	GoVersion string         `json:"go_version,omitempty"`
	Since     time.Time      `json:"since,omitzero"`
	Mode      reconcile.Mode `json:"mode"`
	Config    Config         `json:"config"`
	// KeptElsewhere is true where another ctkeeper keeps the settings of this network namespace, such as one in a pod:
	// a running daemon then observes until that one ends. OwnerError is why a second one would not be noticed.
	KeptElsewhere bool   `json:"kept_elsewhere,omitempty"`
	OwnerError    string `json:"owner_error,omitempty"`
	// Sources are the sources of events of a running daemon.
	Sources []Source `json:"sources,omitempty"`
}

// The names of sources.
const (
	SourceModule   = "uevent"
	SourceSettings = "inotify"
	SourceConfig   = "config"
)

// Source is a source of events. While it does not work, only the resync finds what it would report; changes
// of the configuration are looked for every 30 seconds.
type Source struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	// Error is why it does not work, and Hint what to do about it, where that is known.
	Error string `json:"error,omitempty"`
	Hint  string `json:"hint,omitempty"`
	// Note is what it cannot see here although it works, and when that is found.
	Note string `json:"note,omitempty"`
	// Since is when it began to work, or failed first.
	Since time.Time `json:"since"`
}

// Config describes the configuration in effect.
type Config struct {
	// OK is false where the newest configuration was refused.
	OK bool `json:"ok"`
	// Error is why it was refused; the last good one is then in effect.
	Error string `json:"error"`
	// RefusedAt is when a running daemon refused it first.
	RefusedAt time.Time `json:"refused_at,omitzero"`
	// Files are the files that the configuration in effect was read from.
	Files []string `json:"files"`
	// Hash identifies the contents of Files: config.Config has its meaning. Empty without files.
	Hash string `json:"hash"`
	// At is when the daemon read it.
	At time.Time `json:"at,omitzero"`
}

// Differs reports whether any setting is known to differ from its want.
func (d Document) Differs() bool { return d.Summary().Differs() }

// IsUncertain reports whether the state of any setting, or its want, is not known.
func (d Document) IsUncertain() bool { return d.Summary().Pending > 0 || !d.Daemon.Config.OK }

// Summary counts the settings by state.
func (d Document) Summary() reconcile.Summary {
	return reconcile.Report{
		Module: reconcile.Module{Present: d.Module.State != kmod.Absent}, Mode: d.Daemon.Mode, Settings: d.Settings,
	}.Summary()
}

// Module describes nf_conntrack.
type Module struct {
	Name  string     `json:"name"`
	State kmod.State `json:"state"`
	// Loads counts the loads that the daemon has seen.
	Loads int `json:"loads"`
	// Parameters are those of module.parameters that the kernel accepts at load only.
	Parameters []Parameter `json:"parameters"`
}

// NeedsReload reports whether any parameter is known to differ.
func (m Module) NeedsReload() bool {
	return slices.ContainsFunc(m.Parameters, func(p Parameter) bool { return p.State == ParameterNeedsReload })
}

// ReloadText returns what has to be done for a parameter that needs a reload, and which modules are in the way.
func (m Module) ReloadText(p Parameter) string {
	switch setting := sysfs.SettingOf(p.Name); {
	case m.State == kmod.BuiltIn && setting != "":
		return m.Name + " is built in: settings." + setting + " sets it at once"
	case m.State == kmod.BuiltIn:
		return m.Name + " is built in: needs the kernel command line and a reboot"
	case len(p.HeldBy) == 0:
		return "needs a reload of " + m.Name
	}
	return "needs a reload of " + m.Name + ", which is used by " + strings.Join(p.HeldBy, ", ")
}

// ParameterState compares a module parameter with its want.
type ParameterState string

// The states of a parameter.
const (
	ParameterInSync ParameterState = "in-sync"
	// ParameterNeedsReload is one that only loading the module again can change, which
	// ctkeeper never does.
	ParameterNeedsReload ParameterState = "reload"
	// ParameterUnknown is one that this process may not read, that the kernel does not
	// show, or whose module is absent.
	ParameterUnknown ParameterState = "unknown"
	// ParameterUnsupported is one that this kernel does not have.
	ParameterUnsupported ParameterState = "unsupported"
)

// Parameter is one of module.parameters, compared with the module in the kernel.
type Parameter struct {
	Name string `json:"name"`
	// Want and Live are in modprobe.d's notation; Live is empty where it is not known.
	Want   string         `json:"want"`
	Live   string         `json:"live"`
	Origin tree.Place     `json:"origin"`
	State  ParameterState `json:"state"`
	// Error is why the state is not known.
	Error string `json:"error"`
	// HeldBy are the modules to be unloaded before nf_conntrack, where it needs a reload.
	HeldBy []string `json:"held_by"`
}

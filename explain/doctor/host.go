package doctor

import (
	"context"
	"errors"
	"time"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/explain/firewall"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/distro"
	"github.com/ctkeeper/ctkeeper/host/klog"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/sysfs"
	"github.com/ctkeeper/ctkeeper/table"
)

// ErrNothing is a tree with nothing in it to look at.
var ErrNothing = errors.New("nothing to look at")

// Options say what to look at.
type Options struct {
	Root string
	// Source is where the configuration is.
	Source config.Source
	// Running tells whether the daemon answers; nil where nobody can tell.
	Running func(context.Context) bool
}

// Host is one picture of a host: all that the checks know.
type Host struct {
	Tree   tree.Tree
	Distro distro.Distribution
	// Release is the running kernel's, or "".
	Release string
	// Offline is true for a disk: nothing runs on it, /proc is empty.
	Offline bool
	// Installed are the kernel releases with modules on the disk.
	Installed []string
	// Module has no State where Offline.
	Module kmod.Module
	// Index is that of the running release, or of the newest one where none runs;
	// IndexErr why there is none.
	Index       kmod.Index
	IndexErr    error
	CommandLine kmod.CommandLine
	Modules     []kmod.Listed
	Inventory   inventory.Inventory
	Rules       firewall.Rules
	Log         klog.Log
	Figures     table.Figures
	// Settings are the live values of the settings that this kernel has, by their
	// names in the catalogue: lookAtSettings.
	Settings map[string]string
	// HelperModules are the conntrack helpers in the kernel: lookAtHelpers.
	HelperModules []HelperModule
	// ExpectationsBy counts the expectations of each helper; nil where they cannot be
	// read.
	ExpectationsBy map[string]int64
	// Counters are /proc/net/stat/nf_conntrack, all processors added up, by column;
	// nil where they cannot be read.
	Counters map[string]uint64
	// MemTotal is the host's RAM in bytes; 0 where it is not known.
	MemTotal int64
	// Config is the configuration, nil where it was refused: ConfigErr says why. On a
	// disk it is nil as well where it has to be sized for a memory that nobody knows.
	Config    *config.Config
	ConfigErr error
	Place     Place
	// Kernels are the releases that the module is judged for: the running one, or
	// each that is installed where none runs.
	Kernels []Kernel
	// Parameters are those of nf_conntrack that this process sees in /sys/module.
	Parameters map[string]bool
	// Guards decide which module files the kernel takes.
	Guards Guards
	// BPF is what the guard's programs find here.
	BPF BPF
	// NotLooked says what could not be looked at, and why.
	NotLooked []Evidence
}

// Place is where ctkeeper itself stands on this host.
type Place struct {
	// NetAdmin is true where this process has CAP_NET_ADMIN; Root for uid 0.
	NetAdmin, Root bool
	// ChildNetns is true in a network namespace other than the first.
	ChildNetns bool
	// ReadOnly are the mounts of /proc/sys or /sys that are read-only.
	ReadOnly []Evidence
	// Systemd is true where the host runs systemd, or its disk would.
	Systemd bool
	// Installed and Enabled are the unit's; Running is nil where nobody can tell.
	Installed, Enabled bool
	Running            *bool
	// Overrides are the drop-ins and copies that change the unit.
	Overrides []Evidence
	// Masked is true for a unit that is a link to /dev/null.
	Masked bool
	// Container is how a container was told ("/run/systemd/container: docker"); no
	// text where there is none.
	Container Evidence
	// Configured is when a file of the configuration was last written; the zero time
	// where there is none.
	Configured time.Time
}

// check is one question to the picture.
type check func(*Host) []Finding

// checks are all of them, in the order of the report.
func checks() []check {
	var all []check
	for _, some := range [][]check{moduleChecks(), ownerChecks(), holderChecks(), expectationChecks(), sizingChecks(), selfChecks(), guardChecks()} {
		all = append(all, some...)
	}
	return all
}

// want finds what the configuration asks of a setting; false where it was refused.
func (h *Host) want(name string) (sysfs.Want, bool) {
	if h.Config == nil {
		return sysfs.Want{}, false
	}
	return h.Config.Want(name)
}

// parameter finds what the configuration asks of the module at load.
func (h *Host) parameter(name string) (config.Parameter, bool) {
	if h.Config != nil {
		for _, p := range h.Config.Module.Parameters {
			if p.Name == name {
				return p, true
			}
		}
	}
	return config.Parameter{}, false
}

// loaded reports whether a module's code is in the kernel, by /proc/modules or as
// part of the image. nf_conntrack itself goes by h.Module.
func (h *Host) loaded(name string) bool {
	if name == kmod.Conntrack {
		return h.Module.State == kmod.Loaded || h.Module.State == kmod.BuiltIn
	}
	for _, m := range h.Modules {
		if m.Name == name {
			return true
		}
	}
	return h.Index.BuiltIn[name]
}

// logged gives the kernel's messages that the function takes, the last few of them,
// as evidence.
func (h *Host) logged(match func(text string) bool) []Evidence {
	const most = 3 // proof enough: a full table logs without end
	var found []Evidence
	for _, m := range h.Log.Messages {
		if match(m.Text) {
			found = append(found, Evidence{m.Source, m.Text})
		}
	}
	return found[max(0, len(found)-most):]
}

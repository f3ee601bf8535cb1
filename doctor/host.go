package doctor

import (
	"context"
	"errors"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/distro"
	"github.com/ctkeeper/ctkeeper/firewall"
	"github.com/ctkeeper/ctkeeper/inventory"
	"github.com/ctkeeper/ctkeeper/klog"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/table"
	"github.com/ctkeeper/ctkeeper/tree"
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
	Tree    tree.Tree
	Distro  distro.Distribution
	Release string
	// Installed are the kernel releases with modules on the disk.
	Installed []string
	Module    kmod.Module
	// Index is that of the running release; IndexErr why there is none.
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
	// Counters are /proc/net/stat/nf_conntrack, all processors added up, by column.
	Counters map[string]uint64
	// MemTotal is the host's RAM in bytes; 0 where it is not known.
	MemTotal int64
	// Config is the configuration, nil where it was refused: ConfigErr says why.
	Config    *config.Config
	ConfigErr error
	Place     Place
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
}

// check is one question to the picture.
type check func(*Host) []Finding

// checks are all of them, in the order of the report.
func checks() []check {
	var all []check
	for _, some := range [][]check{moduleChecks(), ownerChecks(), holderChecks(), expectationChecks(), sizingChecks(), selfChecks()} {
		all = append(all, some...)
	}
	return all
}

// Examine looks at a host once. The error is ErrNothing where there is nothing to look at.
func Examine(ctx context.Context, opts Options) (Report, error) { return Report{}, nil }

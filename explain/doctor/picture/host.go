package picture

import (
	"maps"
	"slices"
	"time"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/firewall"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/distro"
	"github.com/ctkeeper/ctkeeper/host/klog"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/sysfs"
	"github.com/ctkeeper/ctkeeper/table"
)

const KubeProxy = "kube-proxy"

// GuardEvidence is the line that asks for the guard; false where none does, or where nothing runs
// that could have one.
func (h *Host) GuardEvidence() (finding.Evidence, bool) {
	if h.Config == nil || h.Offline || h.Config.Guard.Mode == "" || h.Config.Guard.Mode == config.GuardOff {
		return finding.Evidence{}, false
	}
	return h.GuardLine(), true
}

func (h *Host) GuardLine() finding.Evidence {
	return finding.At(h.Config.Origins["guard.mode"], "guard: "+string(h.Config.Guard.Mode))
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
	Modules     []kmod.ProcModule
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
	Env       Environment
	// Kernels are the releases that the module is judged for: the running one, or
	// each that is installed where none runs.
	Kernels []Kernel
	// Parameters are those of nf_conntrack that this process sees in /sys/module.
	Parameters map[string]bool
	// Guards decide which module files the kernel takes.
	LoadPolicy LoadPolicy
	// BPF is what the guard's programs find here.
	BPF BPF
	// NotLooked says what could not be looked at, and why.
	NotLooked []finding.Evidence
}

// Environment is where ctkeeper itself stands on this host.
type Environment struct {
	// NetAdmin is true where this process has CAP_NET_ADMIN; Root for uid 0.
	NetAdmin, Root bool
	// ChildNetns is true in a network namespace other than the first.
	ChildNetns bool
	// ReadOnly are the mounts of /proc/sys or /sys that are read-only.
	ReadOnly []finding.Evidence
	// Systemd is true where the host runs systemd, or its disk would.
	Systemd bool
	// Installed and Enabled are the unit's; Running is nil where nobody can tell.
	Installed, Enabled bool
	Running            *bool
	// Overrides are the drop-ins and copies that change the unit.
	Overrides []finding.Evidence
	// Masked is true for a unit that is a link to /dev/null.
	Masked bool
	// Container is how a container was told ("/run/systemd/container: docker"); no
	// text where there is none.
	Container finding.Evidence
	// Configured is when a file of the configuration was last written; the zero time
	// where there is none.
	ConfigWritten time.Time
}

// Want finds what the configuration asks of a setting; false where it was refused.
func (h *Host) Want(name string) (sysfs.Want, bool) {
	if h.Config == nil {
		return sysfs.Want{}, false
	}
	return h.Config.Want(name)
}

// Parameter finds what the configuration asks of the module at load.
func (h *Host) Parameter(name string) (config.Parameter, bool) {
	if h.Config != nil {
		for _, p := range h.Config.Module.Parameters {
			if p.Name == name {
				return p, true
			}
		}
	}
	return config.Parameter{}, false
}

// IsLoaded reports whether a module's code is in the kernel, by /proc/modules or as
// part of the image. nf_conntrack itself goes by h.Module.
func (h *Host) IsLoaded(name string) bool {
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

// NeededBy tells who wants the module to be there.
func (h *Host) NeededBy() []finding.Evidence {
	var all []finding.Evidence
	if h.Config != nil && h.Config.Module.Load {
		all = append(all, finding.At(h.Config.Origins["module.load"], "module.load: true"))
	}
	for _, line := range h.Inventory.EarlyLoads {
		all = append(all, finding.At(line, "loads it at boot"))
	}
	for _, name := range slices.Sorted(maps.Keys(h.Rules.Modules)) {
		all = append(all, finding.At(h.Rules.Modules[name], "a rule that needs "+name))
	}
	for _, a := range h.Inventory.Assignments {
		if (a.Tool == "systemd-sysctl" || a.Tool == "sysctl") && a.NoEffect == "" && !a.FromPersist {
			all = append(all, finding.At(a.Place, a.Key+" = "+a.Value))
		}
	}
	return all
}

// IsBuiltIn reports whether the module is part of the kernel: nothing keeps that out.
func (h *Host) IsBuiltIn() bool {
	return h.Module.State == kmod.BuiltIn || h.Index.BuiltIn[kmod.Conntrack]
}

// IsContainer reports whether this is a container: it has no modules of its own, and
// needs none.
func (h *Host) IsContainer() bool { return h.Env.Container.Text != "" }

const Hashsize = "hashsize"

const ExpectHashsize = "expect_hashsize"

// IsEnforcing reports whether a daemon puts drift right on this host, and after its
// next boot.
func (h *Host) IsEnforcing() bool {
	runs := h.Env.Running == nil || *h.Env.Running
	return h.Env.Enabled && runs && h.Config != nil && h.Config.Mode == reconcile.Enforce
}

// IsEnforced reports whether a daemon keeps this setting.
func (h *Host) IsEnforced(name string) bool {
	_, asked := h.Want(name)
	return asked && h.IsEnforcing()
}

// IsConfigured reports whether somebody said what the settings should be, or a daemon
// enforces the embedded default: else that is no more than an offer.
func (h *Host) IsConfigured() bool {
	return h.Config != nil && (len(h.Config.Files) > 0 || h.IsEnforcing())
}

// DockerRules is the switch with which Docker makes rules when it starts; they need
// the module and load it.
func (h *Host) DockerRules() (s inventory.ToolOption, on bool) {
	s, there := h.Inventory.ToolOption("docker", "iptables")
	return s, there && s.Value == "true"
}

func (h *Host) ContainerEvidence() []finding.Evidence {
	if h.Env.Container.Text == "" {
		return nil
	}
	return []finding.Evidence{h.Env.Container}
}

// IsApplied reports whether a file of the configuration asks for a setting, and has
// it: then what a log or a counter tells may be of the time before.
func (h *Host) IsApplied(name string) bool {
	w, asked := h.Want(name)
	value, there := h.Settings[name]
	return asked && there && len(h.Config.Files) > 0 && w.Satisfied(w.Setting.Parse(value))
}

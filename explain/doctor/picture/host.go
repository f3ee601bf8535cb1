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
	"github.com/ctkeeper/ctkeeper/host/process"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/persist"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/sysfs"
	"github.com/ctkeeper/ctkeeper/table"
)

// Host is one picture of a host. It is all that the checks know.
type Host struct {
	// Root is the directory that stands for the host's root; "" for the running system.
	Root   string
	Distro distro.Distribution
	Boot   distro.BootConfig
	// Release is the running kernel's; "" where none runs.
	Release string
	// Offline is true for a disk: no kernel runs on it, /proc is empty.
	Offline bool
	// Installed are the kernel releases with modules on the disk.
	Installed []string
	// Module has no State where Offline.
	Module kmod.Module
	// Index is that of the running release, or of the newest installed one where none runs. IndexErr
	// is why there is none.
	Index       kmod.Index
	IndexErr    error
	CommandLine kmod.CommandLine
	Modules     []kmod.ProcModule
	Inventory   inventory.Inventory
	Rules       firewall.Rules
	// SavedModules are the modules that the rules saved in /etc/sysconfig need, by tool: iptables or
	// ip6tables. A tool is missing where its file cannot be read.
	SavedModules map[string]map[string]tree.Place
	// Services are the firewall tools whose service can be on this host.
	Services map[string]bool
	Log      klog.Log
	Figures  table.Figures
	// Settings are the live values of the settings that this kernel has, by their catalogue names.
	Settings map[string]string
	// HelperModules are the conntrack helpers that the kernel has, sorted by name.
	HelperModules []HelperModule
	// HelperCounts are the expectations of each helper; nil where they cannot be read.
	HelperCounts map[string]int64
	// Counters are the columns of /proc/net/stat/nf_conntrack, summed over all processors; nil where
	// they cannot be read.
	Counters map[string]uint64
	// MemTotal is the RAM in bytes; 0 where it is not known.
	MemTotal int64
	// Config is the configuration; nil where it was refused, and ConfigErr is why. On a disk it is nil
	// without an error where its sizes depend on the memory.
	Config    *config.Config
	ConfigErr error
	// BootPlan is what persist would write for Config, with the files that are there.
	BootPlan    persist.Plan
	BootPlanErr error
	Env         Environment
	// Kernels are the releases that the module is checked for: the running one, or each installed one
	// where none runs.
	Kernels []Kernel
	// Parameters are those of nf_conntrack in /sys/module, with their values; "" is a value that this
	// process may not read.
	Parameters map[string]string
	LoadPolicy LoadPolicy
	BPF        BPF
	// NotRead is what could not be read, and why.
	NotRead []finding.Evidence

	// NotKept are the wanted settings that cannot be read or kept.
	NotKept []reconcile.SettingStatus
	// Processes are the running processes of user space.
	Processes []process.Process

	files  map[string]textFile
	record record
}

// Environment is where ctkeeper itself runs on this host.
type Environment struct {
	// NetAdmin is true where this process has CAP_NET_ADMIN; Root for uid 0.
	NetAdmin, Root bool
	// ChildNetns is true in a network namespace other than the first one.
	ChildNetns bool
	// ReadOnly are the mounts that make /proc/sys or /sys read-only.
	ReadOnly []finding.Evidence
	// Systemd is true where the host runs systemd, or its disk would.
	Systemd bool
	// Installed and Enabled are those of the unit. Running is nil where it is not known.
	Installed, Enabled bool
	Running            *bool
	// Masked is true where the unit is a link to /dev/null.
	Masked bool
	// Overrides are the lines of drop-ins, and of a copy, that change the unit.
	Overrides []finding.Evidence
	// ConfigWritten is when a configuration file was last written; zero where there is none.
	ConfigWritten time.Time
	// KubeProxyUnit is true where the host has a unit for kube-proxy. SysconfigModules is true where
	// rc.sysinit loads modules by the scripts of /etc/sysconfig/modules.
	KubeProxyUnit, SysconfigModules bool
}

// IsLive reports whether the picture is of the running system.
func (h *Host) IsLive() bool { return h.Root == "" }

// Want returns what the configuration asks for a setting.
func (h *Host) Want(name string) (sysfs.Want, bool) {
	if h.Config == nil {
		return sysfs.Want{}, false
	}
	return h.Config.Want(name)
}

// Parameter returns what the configuration asks for a load-time parameter.
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

// IsConfigured reports whether a configuration file has settings, or a daemon enforces the embedded default.
// The default that nobody enforces is only an offer.
func (h *Host) IsConfigured() bool {
	return h.Config != nil && (!h.Config.UsesDefault || h.IsEnforcing())
}

// IsEnforcing reports whether a daemon repairs drift on this host, and will after its next boot.
func (h *Host) IsEnforcing() bool {
	runs := h.Env.Running == nil || *h.Env.Running
	return h.Env.Enabled && runs && h.Config != nil && h.Config.Mode == reconcile.Enforce
}

// IsEnforced reports whether a daemon repairs drift of a setting.
func (h *Host) IsEnforced(name string) bool {
	_, wanted := h.Want(name)
	return wanted && h.IsEnforcing()
}

// IsApplied reports whether a configuration file asks for a setting and its live value is as wanted.
// Then a log or a counter may be about the time before.
func (h *Host) IsApplied(name string) bool {
	w, wanted := h.Want(name)
	value, live := h.Settings[name]
	return wanted && live && !h.Config.UsesDefault && w.Satisfied(w.Setting.Parse(value))
}

// IsLoaded reports whether a module's code is in the kernel: listed in /proc/modules, or built in.
// For nf_conntrack the state of h.Module decides.
func (h *Host) IsLoaded(name string) bool {
	if name == kmod.Conntrack {
		return h.Module.State == kmod.Loaded || h.Module.State == kmod.BuiltIn
	}
	return h.Index.BuiltIn[name] || h.IsListed(name)
}

// Runs returns the running process of a program that can set the host's values, and whether there is one.
func (h *Host) Runs(program string) (process.Process, bool) {
	for _, p := range h.Processes {
		if p.Program() == program && !p.OtherNetns {
			return p, true
		}
	}
	return process.Process{}, false
}

// IsListed reports whether /proc/modules lists a module.
func (h *Host) IsListed(name string) bool {
	return slices.ContainsFunc(h.Modules, func(m kmod.ProcModule) bool { return m.Name == name })
}

// IsBuiltIn reports whether nf_conntrack is part of the kernel image.
func (h *Host) IsBuiltIn() bool {
	return h.Module.State == kmod.BuiltIn || h.Index.BuiltIn[kmod.Conntrack]
}

// NeededBy returns what needs nf_conntrack to be loaded. A sysctl line does not: where nothing else needs
// the module, the value has no use.
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
	return all
}

// IsContainer reports whether this is a container. It has no modules of its own, and needs none.
func (h *Host) IsContainer() bool { return h.Distro.Platform.Container != "" }

// ContainerEvidence returns what shows that this is a container, if it is one.
func (h *Host) ContainerEvidence() []finding.Evidence {
	if !h.IsContainer() {
		return nil
	}
	return h.PlatformEvidence()
}

// PlatformEvidence returns what shows the platform.
func (h *Host) PlatformEvidence() []finding.Evidence {
	var all []finding.Evidence
	for _, sign := range h.Distro.Platform.Signs {
		all = append(all, finding.At(sign.Place, sign.Text))
	}
	return all
}

// DockerRules returns the option with which Docker makes rules when it starts, and whether it is on.
// The rules need the module and load it.
func (h *Host) DockerRules() (option inventory.ToolOption, on bool) {
	option, found := h.Inventory.ToolOption("docker", "iptables")
	return option, found && option.Value == "true"
}

// GuardLine returns the line that configures the guard.
func (h *Host) GuardLine() finding.Evidence {
	return finding.At(h.Config.Origins["guard.mode"], "guard: "+string(h.Config.Guard.Mode))
}

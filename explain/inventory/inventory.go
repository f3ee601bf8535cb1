package inventory

import (
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
)

// Phase is the time of an assignment, in the order of a boot. Within one phase the order of
// Inventory.Assignments decides.
type Phase int

// The phases.
const (
	// AtModuleLoad is the load of the module: modprobe.d and the kernel command line.
	AtModuleLoad Phase = iota
	// AtBoot is systemd-sysctl.service, or the sysctl script of an older init system.
	AtBoot
	// AfterModuleLoad is a udev rule for the module's add event, or a script that loads it.
	AfterModuleLoad
	// AtFirewallStart is the start of a firewall: ufw, Shorewall, the IPTABLES_SYSCTL_LOAD_LIST of
	// iptables-config.
	AtFirewallStart
	// AtTunedProfile is when TuneD applies its profile.
	AtTunedProfile
	// AtServiceStart is the start of a service: kube-proxy, k3s, rc.local, a unit that runs sysctl, a
	// job of cron at @reboot. Nothing orders them among each other.
	AtServiceStart
	// OnNetworkChange is whenever an interface comes up: NetworkManager's dispatcher, if-up.d.
	OnNetworkChange
	// Periodically is a timer, or a job of cron, that runs again and again.
	Periodically
)

// String returns the phase as part of a sentence: "when the module is loaded".
func (p Phase) String() string {
	switch p {
	case AtModuleLoad:
		return "when the module is loaded"
	case AtBoot:
		return "at boot"
	case AfterModuleLoad:
		return "after the module is loaded"
	case AtFirewallStart:
		return "when the firewall starts"
	case AtTunedProfile:
		return "when TuneD applies its profile"
	case OnNetworkChange:
		return "whenever an interface comes up"
	case Periodically:
		return "again and again"
	default:
		return "when a service starts"
	}
}

// Assignment is one place that sets a value.
type Assignment struct {
	tree.Place
	// Name is a setting's name in the catalogue or, if Parameter, the name of a parameter of the
	// module nf_conntrack.
	Name      string
	Parameter bool
	// Key is the name in the file: "net.nf_conntrack_max".
	Key string
	// Value is in the kernel's form. For kube-proxy it is the result of its formula on this host.
	// A value that a shell or TuneD computes when it runs is as written, with its $, and Uncertain.
	// One that the kernel refuses is as written too.
	Value string
	// Meant is the number that the writer of a refused value meant, if that is plain: 262144 of
	// "hashsize = 262144" in modprobe.d.
	Meant string
	// Invalid is true if NoEffect says that the kernel refuses or ignores the value.
	Invalid bool
	// AtLeast is true if the tool only raises the value: kube-proxy for hashsize (it sets the
	// others exactly), TuneD's ">". AtMost is true if it only lowers it: TuneD's "<".
	AtLeast, AtMost bool
	// Tool is what sets the value: systemd-sysctl, sysctl, modprobe, kernel, udev, sysconfig, tuned,
	// ufw, iptables, ip6tables, firewalld, pve-firewall, kube-proxy, k3s, rc.local.
	Tool  string
	Phase Phase
	// Uncertain is why it is not known whether the assignment is made, with which value, or whether it
	// is the last one: "within an if", "computed when the script runs", "depends on kube-proxy's
	// version". It is empty where a reader understood the whole file or command.
	Uncertain string
	// NoEffect is why the assignment has no effect, or empty: "/etc/sysctl.d/99-x.conf:3 comes
	// later", "hidden by /etc/sysctl.d/10-x.conf", "not the active profile".
	NoEffect string
	// OverriddenBy is the place of the assignment because of which this one has no effect, if that
	// is the reason.
	OverriddenBy tree.Place
	// TooEarly is true for a sysctl that is written at boot before the module is loaded, and not
	// again after it: systemd-sysctl finds no such key.
	TooEarly bool
	// FromPersist is true if ctkeeper persist wrote the file.
	FromPersist bool
}

// ToolOption is an option of another tool that affects the module or its values:
// IPTABLES_MODULES_UNLOAD, CleanupModulesOnExit, AUTOHELPERS.
type ToolOption struct {
	tree.Place
	// Tool is iptables, ip6tables, firewalld, shorewall, …
	Tool string
	Name string
	// Value is as written. If Default, no line sets the option: Value is the tool's default, and
	// Place the file in which a line would.
	Value   string
	Default bool
}

// Mention is a line that names nf_conntrack or a key of it, in a place where configuration or scripts
// live, and that no reader understood.
type Mention struct {
	tree.Place
	Text string
	// Sets has the names of the settings that the line could set: those whose key it has, in a file
	// that something runs. A comment sets none.
	Sets []string
}

// DeadLine is a line that looks as if it did something, and that nothing on this host ever reads or
// runs, or that does nothing on this kernel.
type DeadLine struct {
	tree.Place
	// Why is a sentence without a full stop: "no program reads /etc/modules.load.d".
	Why string
	// Loads is true for a line that was meant to load nf_conntrack.
	Loads bool
	// Key and Value are those of a line that sets a sysctl key which this kernel does not have. Name is the
	// setting that is meant and Right its key, if they are known.
	Key, Value, Name, Right string
}

// Inventory is what the host's files say about nf_conntrack.
type Inventory struct {
	// Assignments are sorted by phase, and within a phase in the order in which they are made.
	Assignments []Assignment
	ToolOptions []ToolOption
	// PodSysctls are the sysctls of the network namespaces of pods.
	PodSysctls []PodSysctl
	// EarlyLoads are the lines that load the module, or one that needs it, before the sysctl files
	// are applied.
	EarlyLoads []tree.Place
	// PersistFiles are the files among those read that ctkeeper persist wrote.
	PersistFiles []string
	// NotSearched are the files and directories that were searched for mentions only in part.
	NotSearched []tree.Trouble
	// Mentions and DeadLines are sorted by place.
	Mentions  []Mention
	DeadLines []DeadLine
	// Systemd is true if the host boots with systemd.
	Systemd  bool
	Modprobe kmod.Modprobe
	Troubles []tree.Trouble
}

// ToolOption returns an option, and whether there is one.
func (i Inventory) ToolOption(tool, name string) (ToolOption, bool) {
	for _, o := range i.ToolOptions {
		if o.Tool == tool && o.Name == name {
			return o, true
		}
	}
	return ToolOption{}, false
}

package inventory

import (
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
)

// Phase is when an assignment is made, in the order of a boot: within one phase
// the order of Inventory.Assignments decides.
type Phase int

// The phases.
const (
	// AtLoad is when the module is loaded: modprobe.d and the kernel command line.
	AtModuleLoad Phase = iota
	// AtBoot is systemd-sysctl.service, or the sysctl script of an older init.
	AtBoot
	// OnLoad is a udev rule for the module's add event, or a script that loads it.
	AfterModuleLoad
	// AtFirewall is whenever a firewall starts: ufw, iptables-config's
	// IPTABLES_SYSCTL_LOAD_LIST, Shorewall.
	AtFirewallStart
	// AtProfile is whenever TuneD applies its profile.
	AtTunedProfile
	// AtService is whenever a service starts: kube-proxy, k3s.
	AtServiceStart
)

// Assignment is one place that gives a setting a value.
type Assignment struct {
	tree.Place
	// Name is a setting's name in the catalogue or, where Parameter, that of a
	// parameter of the module nf_conntrack.
	Name      string
	Parameter bool
	// Key is the name as it stands there: "net.nf_conntrack_max".
	Key string
	// Value is as the kernel takes it; for kube-proxy what its rule comes to here. What a
	// shell or TuneD works out when it runs stays as it is written, with its $.
	Value string
	// AtLeast is true where the tool only raises: kube-proxy with hashsize (its other
	// values it sets exactly), TuneD's ">". AtMost where it only lowers: TuneD's "<".
	AtLeast, AtMost bool
	// By is the tool that makes it so: systemd-sysctl, sysctl, modprobe, kernel, udev,
	// sysconfig, tuned, ufw, iptables, ip6tables, firewalld, pve-firewall, kube-proxy,
	// k3s, rc.local.
	Tool  string
	Phase Phase
	// Lost says why it has no effect, or is empty: "/etc/sysctl.d/99-x.conf:3 comes
	// later", "hidden by /etc/sysctl.d/10-x.conf", "not the active profile".
	NoEffect string
	// TooEarly is true for a sysctl that is written at boot before anything loads the
	// module, and not again when something does: systemd-sysctl finds no such key.
	TooEarly bool
	// Ours is true for files that ctkeeper's persist wrote.
	FromPersist bool
}

// Switch is a setting of another tool that decides about the module or its values:
// IPTABLES_MODULES_UNLOAD, CleanupModulesOnExit, AUTOHELPERS.
type ToolOption struct {
	tree.Place
	// Tool is iptables, ip6tables, firewalld, shorewall, …
	Tool string
	Name string
	// Value is as written; where Default, the tool's default, because no line
	// gives one (Place is then the file that would).
	Value   string
	Default bool
}

// Inventory is what the host's files say.
type Inventory struct {
	// Assignments are sorted by phase, and within it by who comes first.
	Assignments []Assignment
	ToolOptions []ToolOption
	// LoadedAtBoot are the lines that load the module, or one that needs it, before the
	// sysctl settings are applied.
	EarlyLoads []tree.Place
	// OurFiles are those that ctkeeper's persist wrote, as far as they were read.
	PersistFiles []string
	// Systemd is true where the host boots with systemd.
	Systemd bool
	// Modprobe is modprobe.d, which others ask about too.
	Modprobe kmod.Modprobe
	Troubles []tree.Trouble
}

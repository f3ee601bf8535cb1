package picture

// Files that evidence names.
const (
	CommandLineFile     = "/proc/cmdline"
	ModulesFile         = "/proc/modules"
	ModulesDisabledFile = "/proc/sys/kernel/modules_disabled"
	WritesStrictFile    = "/proc/sys/kernel/sysctl_writes_strict"
	LockdownFile        = "/sys/kernel/security/lockdown"
	LastCapFile         = "/proc/sys/kernel/cap_last_cap"
	InitStatusFile      = "/proc/1/status"
	MaxFile             = "/proc/sys/net/netfilter/nf_conntrack_max"
	CountFile           = "/proc/sys/net/netfilter/nf_conntrack_count"
	BucketsFile         = "/proc/sys/net/netfilter/nf_conntrack_buckets"
	CountersFile        = "/proc/net/stat/nf_conntrack"
	ExpectationsFile    = "/proc/net/nf_conntrack_expect"

	// UnitName is ctkeeper's unit. The administrator's own units are in OwnUnitDir.
	UnitName   = "ctkeeper.service"
	OwnUnitDir = "/etc/systemd/system"
	// ConfigDropIns is where the administrator's drop-ins for ctkeeper are.
	ConfigDropIns = "/etc/ctkeeper/conf.d"
	// GuardConf is the drop-in of the unit that has the privileges of the guard.
	GuardConf = "guard.conf"

	// KubeProxy is kube-proxy's name as a tool of the inventory.
	KubeProxy     = "kube-proxy"
	KubeProxyUnit = KubeProxy + ".service"

	// A table is full, or fills, from this share of its limit.
	FullPercent    = 95
	FillingPercent = 80
)

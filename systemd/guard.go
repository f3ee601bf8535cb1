package systemd

import _ "embed"

// Commands that give the service the guard's capabilities and take them away. The drop-ins explain what each
// capability allows and costs.
const (
	// GuardStep gives the service CAP_BPF with guard.conf. The guard cannot run without it.
	GuardStep = "ctkeeper guard on"
	// PerfmonStep adds CAP_PERFMON with guard-perfmon.conf, for the names of those who load the
	// module or write hashsize through sysfs.
	PerfmonStep = "ctkeeper guard on --perfmon"
	// GuardBack removes both.
	GuardBack = "ctkeeper guard off"
	// PerfmonBack removes CAP_PERFMON.
	PerfmonBack = "ctkeeper guard on --perfmon=false"
)

// The drop-ins of ctkeeper.service that have the guard's capabilities.
const (
	GuardDropIn   = "/etc/systemd/system/ctkeeper.service.d/guard.conf"
	PerfmonDropIn = "/etc/systemd/system/ctkeeper.service.d/guard-perfmon.conf"
)

// GuardConf and PerfmonConf are the contents of the drop-ins.
var (
	//go:embed guard.conf
	GuardConf []byte
	//go:embed guard-perfmon.conf
	PerfmonConf []byte
)

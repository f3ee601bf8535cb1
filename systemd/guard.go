package systemd

// What turns the guard's rights on and off: shell lines to paste as root. The drop-ins say
// what each right gives and costs.
const (
	// GuardStep gives the service CAP_BPF, by guard.conf: what the guard cannot do without.
	GuardStep = "install -D -m 0644 -t " + dropIns + " " + share + "/guard.conf" + again
	// PerfmonStep gives it CAP_PERFMON as well, by guard-perfmon.conf: who loads the module,
	// who writes hashsize through sysfs.
	PerfmonStep = "install -D -m 0644 -t " + dropIns + " " + share + "/guard-perfmon.conf" + again
	// GuardBack takes both away.
	GuardBack = "rm -f " + dropIns + "/guard.conf " + dropIns + "/guard-perfmon.conf" + again
	// PerfmonBack takes CAP_PERFMON away.
	PerfmonBack = "rm -f " + dropIns + "/guard-perfmon.conf" + again

	dropIns = "/etc/systemd/system/ctkeeper.service.d"
	share   = "/usr/share/ctkeeper"
	again   = " && systemctl daemon-reload && systemctl restart ctkeeper"
)

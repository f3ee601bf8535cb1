package systemd

// Shell lines, to paste as root, that add and remove the guard's capabilities. The drop-ins
// explain what each capability allows and costs.
const (
	// GuardStep gives the service CAP_BPF with guard.conf. The guard cannot run without it.
	GuardStep = "install -D -m 0644 -t " + dropIns + " " + share + "/guard.conf" + again
	// PerfmonStep adds CAP_PERFMON with guard-perfmon.conf, for the names of those who load the
	// module or write hashsize through sysfs.
	PerfmonStep = "install -D -m 0644 -t " + dropIns + " " + share + "/guard-perfmon.conf" + again
	// GuardBack removes both.
	GuardBack = "rm -f " + dropIns + "/guard.conf " + dropIns + "/guard-perfmon.conf" + again
	// PerfmonBack removes CAP_PERFMON.
	PerfmonBack = "rm -f " + dropIns + "/guard-perfmon.conf" + again

	dropIns = "/etc/systemd/system/ctkeeper.service.d"
	share   = "/usr/share/ctkeeper"
	again   = " && systemctl daemon-reload && systemctl restart ctkeeper"
)

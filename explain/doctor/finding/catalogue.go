package finding

// Entry describes a kind of finding.
type Entry struct {
	ID string
	// Meaning is what the finding reports; Do is what to do about it, in general.
	Meaning, Do string
}

// Catalogue returns every kind of finding that doctor can report, sorted by ID.
func Catalogue() []Entry { return catalogue }

var catalogue = []Entry{
	{
		"bad-parameter", "a load-time parameter has a value with which nf_conntrack does not load",
		"remove or correct the parameter on the line that the evidence names, and load the module",
	},
	{
		"boot-files-refused", "persist cannot write the boot files as configured",
		"read the evidence; move a file that persist did not write away, and run ctkeeper persist",
	},
	{"boot-files-stale", "the boot files are not as the configuration wants them", "run ctkeeper persist"},
	{"chains-too-long", "the kernel refused connections because a hash chain was too long", "raise hashsize"},
	{
		"child-netns", "ctkeeper runs in another network namespace than the host's first one",
		"run it on the host, or with the host's network",
	},
	{
		"config-default", "no configuration file has settings, and the embedded default is used",
		"write a configuration, for example with ctkeeper import",
	},
	{
		"config-refused", "the configuration has errors",
		"correct them; ctkeeper config check reports the same errors",
	},
	{
		"config-warnings", "a part of the configuration does not have the effect that it seems to have",
		"read ctkeeper config show, and change that part",
	},
	{
		"contradiction", "several lines of the host's files assign different values to one setting",
		"keep the line that is right",
	},
	{
		"dead-line", "lines about nf_conntrack that nothing on this host reads or runs, or that load nothing here",
		"remove them, or move them to where they are read",
	},
	{
		"dependency-blacklisted", "a module that nf_conntrack needs is blocked, or blacklisted",
		"remove the line that blocks it",
	},
	{"dependency-missing", "a module that nf_conntrack needs has no file", "reinstall the kernel's package"},
	{
		"drift-by", "ctkeeper recorded which program set a value in this boot",
		"configure that program, or let ctkeeper's guard absorb its writes",
	},
	{
		"established-timeout-long", "idle TCP connections stay in the table for more than a day",
		"shorten tcp_timeout_established when the table fills",
	},
	{"expect-max-small", "expect_max is a small default of the kernel, and helpers are in use", "raise expect_max"},
	{
		"expectation-drops", "the kernel's log shows refused expectations",
		"raise expect_max, or check the limit of the helper",
	},
	{"expectation-table-filling", "the expectation table is at least 80 % full", "raise expect_max"},
	{"expectation-table-full", "the expectation table is full", "raise expect_max"},
	{
		"file-unreadable", "a configuration file, or a line of it, cannot be read",
		"correct or replace the file; run doctor as root if it lacks the permission",
	},
	{
		"firewall-restart-resets", "a restart of the firewall unloads nf_conntrack and resets its values",
		"configure the firewall not to unload modules, or run ctkeeper, which repairs the values",
	},
	{"guard-cgroup", "the guard is configured, and no cgroup v2 tree is mounted", "boot with cgroup v2"},
	{
		"guard-hold-strict", "guard: hold only watches, because kernel.sysctl_writes_strict is not 1",
		"set it to 1, the kernel's default",
	},
	{
		"guard-kernel", "the guard is configured, and the kernel cannot run it",
		"boot another kernel, or turn the guard off",
	},
	{
		"guard-lock-owner", "the guard's lock would keep a program from starting that sets the same value",
		"guard: hold; or configure the program not to set it, or allow its unit in guard.allow",
	},
	{"guard-lockdown", "the kernel is locked down, and the guard cannot report every writer", "nothing"},
	{
		"guard-rights", "the guard is configured, and the service does not have the privileges for it",
		"run ctkeeper guard on, or remove the lines that take the privileges",
	},
	{"hashsize-over-memory", "the hash table takes more than a quarter of the memory", "lower hashsize"},
	{
		"helper-automatic", "the kernel attaches helpers by port number alone",
		"write rules that attach helpers, then set helper to false",
	},
	{
		"helper-module-missing", "a firewall rule needs a helper whose module cannot be loaded",
		"install the module, or remove the line that blocks it",
	},
	{
		"helper-without-rule", "a helper module is loaded, and no rule attaches it",
		"nothing, or a rule that attaches the helper",
	},
	{"helpers", "what fills the expectation table: rules, helper modules, expectations", "nothing"},
	{
		"kernel-not-installed", "the running kernel has no modules on the disk",
		"reboot into the installed kernel, or reinstall the running one",
	},
	{"load-factor", "max is more than 4 times hashsize: a full table has long chains", "raise hashsize"},
	{
		"load-parameter-differs", "the module was loaded with other parameters than configured",
		"reboot, or reload the module",
	},
	{
		"max-over-memory", "a full table would take more than a quarter of the memory",
		"lower max, or shorten the timeouts",
	},
	{"max-unlimited", "max is 0, which means no limit up to Linux 6.12", "set max"},
	{
		"mentioned", "lines name nf_conntrack, and ctkeeper does not understand what they do",
		"read them; guard: watch shows who writes a value",
	},
	{"module-blacklisted", "nf_conntrack is blocked or blacklisted", "remove the lines that the evidence names"},
	{
		"module-built-in", "nf_conntrack is part of the kernel image; options in modprobe.d have no effect",
		"put its parameters on the kernel command line",
	},
	{
		"module-file-missing", "the file of nf_conntrack is missing or damaged",
		"reinstall the package that the fix names",
	},
	{"module-held", "something holds nf_conntrack, so a restart of the firewall does not unload it", "nothing"},
	{
		"module-no-memory", "the kernel had no memory to load a module",
		"load the module early at boot, or lower hashsize",
	},
	{"module-not-loaded", "nf_conntrack is not loaded", "load it, or fix the findings that the summary names"},
	{
		"module-signature", "the kernel refuses the unsigned or wrongly signed file of nf_conntrack",
		"reinstall the kernel's package, or sign the module",
	},
	{
		"module-wrong-kernel", "the file of nf_conntrack was built for another kernel",
		"reinstall the kernel's package, or the package that installed the file",
	},
	{"modules-dep-stale", "modules.dep does not list a module that exists", "run depmod"},
	{
		"modules-disabled", "the kernel loads no modules, now or from the next boot on",
		"remove kernel.modules_disabled from the sysctl files, and reboot",
	},
	{"no-capability", "this process has no CAP_NET_ADMIN", "run doctor as root; give a container the capability"},
	{"no-systemd", "no systemd runs here that could run ctkeeper", "let the init system run ctkeeper run"},
	{
		"not-applied", "a live value is not the one that the host's files set",
		"set the value of the file, or correct the file",
	},
	{"not-enabled", "ctkeeper's unit does not start at boot", "systemctl enable --now ctkeeper"},
	{"not-installed", "ctkeeper's unit is not installed", "install the package"},
	{
		"not-running", "ctkeeper is enabled and does not run",
		"systemctl start ctkeeper; its journal shows why it stopped",
	},
	{
		"other-owner", "another tool assigns a setting, with the same value or another one",
		"remove the line of the other tool, or the setting from ctkeeper",
	},
	{
		"platform", "the host is a container, or its files or its kernel are made in a way of their own",
		"nothing; what differs is in the note",
	},
	{
		"pod-sysctl-refused", "a container runtime sets what a pod's network namespace cannot write, so no pod starts",
		"remove the line",
	},
	{
		"pod-sysctls-differ", "CRI-O or CNI sets other values in pods than those that ctkeeper keeps on the host",
		"nothing; or set what ctkeeper render cri-o, or cni-tuning, prints",
	},
	{
		"read-only", "/proc/sys or /sys is read-only",
		"run ctkeeper on the host, or give its container the host's /proc/sys/net",
	},
	{
		"reset-since-boot", "the module was loaded again after the boot, and a value of the host's files is lost",
		"set it again; let ctkeeper keep it",
	},
	{"rule-module-blacklisted", "a module that firewall rules need is blocked", "remove the line that blocks it"},
	{
		"rule-module-missing", "a module that firewall rules need cannot be loaded",
		"install the package that the fix names",
	},
	{
		"settings-differ", "a live value is not as configured, and no daemon repairs it",
		"run ctkeeper, or ctkeeper apply",
	},
	{
		"settings-not-kept", "a setting cannot be read, or ctkeeper cannot keep it",
		"what the finding's reason says; of another writer, stop it or use guard: hold",
	},
	{"softdep-missing", "a soft dependency of nf_conntrack cannot be loaded", "nothing"},
	{
		"sysctl-not-read", "nothing on this host applies a line that looks like a setting",
		"move the setting into ctkeeper's configuration, or remove the line",
	},
	{
		"sysctl-too-early", "a sysctl setting is applied before the module is loaded, and has no effect",
		"let ctkeeper set it, or load the module earlier",
	},
	{"table-counters", "counters that look like losses and mostly are not", "nothing"},
	{"table-drops", "the connection table was full", "raise max, or shorten the timeouts"},
	{"table-filling", "the connection table is at least 80 % full", "raise max, or shorten the timeouts"},
	{"table-full", "the connection table is at least 95 % full", "raise max, or shorten the timeouts"},
	{"timeouts-long", "timeouts are far above the kernel's defaults", "lower them when the table fills"},
	{"two-names", "the host's files use both names of one setting", "keep the line that is right"},
	{"unit-masked", "ctkeeper's unit is masked", "systemctl unmask ctkeeper"},
	{
		"unit-overridden", "drop-ins or a copy change ctkeeper's unit",
		"remove the lines that take what the daemon needs",
	},
	{"unknown-parameter", "nf_conntrack is loaded with a parameter that it does not have", "remove the parameter"},
	{
		"value-refused", "the kernel refuses the value of a sysctl line",
		"write the number that is meant",
	},
	{
		"wrong-key", "a line sets a sysctl key that this kernel does not have", "write the key that the evidence names",
	},
}

package systemd

// The zap field keys, a contract with the readers of the journal: a key becomes
// the journal field CTKEEPER_ and the key in upper case (systemd.journal-fields(7)).
const (
	// KeyEvent holds a reconcile.Kind, which also has a MESSAGE_ID.
	KeyEvent = "event"
	// KeySetting holds the name of a setting without the nf_conntrack_ prefix.
	KeySetting = "setting"
	// KeyWant holds the value that the configuration asks for.
	KeyWant = "want"
	// KeyFound holds the value that was read from the kernel.
	KeyFound = "found"
	// KeyValue holds the value that a refused or absorbed write would have set.
	KeyValue = "value"
	// KeyResult holds repaired, observed or failed.
	KeyResult = "result"
	// KeyCause holds start, config, module-load, write or resync.
	KeyCause = "cause"
	// KeyDuration holds a time.Duration; the journal has it as
	// CTKEEPER_DURATION_USEC, an integer in microseconds.
	KeyDuration = "duration"
	// KeyError holds an error.
	KeyError = "error"
	// KeyModule holds the name of a kernel module.
	KeyModule = "module"
	// KeyCount holds how often something happened.
	KeyCount = "count"
	// KeySource holds the name of what woke a pass, or of a watcher.
	KeySource = "source"
	// KeyNames holds what the guard knows of a writer: its names.
	KeyNames = "names"
	// KeyMissing holds what the guard cannot report or do here.
	KeyMissing = "missing"
	// KeyHint holds what to do about a failure, or an absorbed write.
	KeyHint = "hint"
	// KeyTable holds connections or expectations.
	KeyTable = "table"
	// KeyEntries holds how many entries that table has.
	KeyEntries = "entries"
	// KeyLimit holds how many entries that table may have.
	KeyLimit = "limit"
	// KeyByPID holds the process id of a foreign writer, in the initial pid namespace, or of
	// who loaded or unloaded the module.
	KeyByPID = "by_pid"
	// KeyByComm holds its command name (comm in proc_pid_comm(5)).
	KeyByComm = "by_comm"
	// KeyByUnit holds its systemd unit, or its container and pod.
	KeyByUnit = "by_unit"
	// KeyByPod holds the name of its Kubernetes pod, and KeyByNamespace that pod's namespace.
	KeyByPod       = "by_pod"
	KeyByNamespace = "by_namespace"
)

// Package guard watches who writes nf_conntrack's settings, and can refuse foreign writes.
//
// A cgroup/sysctl program (BPF_PROG_TYPE_CGROUP_SYSCTL) on the root of the cgroup v2 tree runs
// before every read and write of a sysctl on the host, through whatever procfs, pid namespace or
// container. Tracing programs, where CAP_PERFMON allows them, report who loads and unloads the
// module and who writes its parameter hashsize through sysfs, which is no sysctl.
//
// How one write is processed:
//
//  1. program.go: the program looks up the sysctl's name in the map of rules. It ignores every read,
//     and writes to settings that have no want.
//  2. program.go: a locked setting whose new value is outside of the rule's range is refused with EPERM,
//     unless the writer's cgroup is in the map of allowed cgroups. Everything else passes.
//  3. program.go: the program submits a record to the ring buffer (record.go has its layout), or counts
//     it as lost if the buffer is full.
//  4. recent.go: Run reads the record. It wakes the reconcile loop, or reports the refusal.
//  5. cgroup.go, unit.go: the writer's cgroup id becomes a path, and the path becomes a unit, container and pod.
//  6. recent.go: the write is kept among the last 32 of its setting. The pass that finds the value looks up
//     which process wrote it (WriterOf).
//
// The programs are attached by bpf_link and pinned nowhere: they end with the process, however it ends.
//
// The lock prevents accidental changes. It does not stop root, who can write the module's parameter
// through sysfs, unload the module, stop the daemon or detach the program.
package guard

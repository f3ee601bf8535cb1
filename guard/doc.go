// Package guard watches who writes nf_conntrack's settings, and can refuse or absorb foreign writes.
//
// A cgroup/sysctl program (BPF_PROG_TYPE_CGROUP_SYSCTL) on the root of the cgroup v2 tree runs
// before every read and write of a sysctl on the host, through whatever procfs, pid namespace or
// container. Tracing programs, where CAP_PERFMON allows them, report who loads and unloads the
// module and who writes its parameter hashsize through sysfs, which is no sysctl.
//
// The programs are C, in bpf/guard.c. `make generate` compiles them to the files bpf_bpfel.o and
// bpf_bpfeb.o, for processors of either byte order, with Go types for what both sides share
// (bpf/guard.h). cilium/ebpf fits the offsets in the kernel's structures to the running kernel (CO-RE).
//
// How one write is processed:
//
//  1. guard.c: the program looks up the sysctl's name in the map of rules. It ignores every read,
//     and writes to settings that have no want. If it can tell the network namespace in which the write
//     takes effect, it ignores writes to a setting of another namespace.
//  2. guard.c: if a setting is locked or held and the new value is outside of the rule's range, the write is
//     refused with EPERM or made to change nothing, unless the writer's cgroup is in the map of allowed cgroups.
//     Everything else passes.
//  3. guard.c: the program submits a record to the ring buffer (guard.h has its layout), or counts
//     it as lost if the buffer is full.
//  4. recent.go: Run reads the record. It wakes the reconcile loop, or reports the blocked write.
//  5. cgroup.go, unit.go: the writer's cgroup id becomes a path, and the path becomes a unit, container and pod.
//  6. recent.go: the write is kept among the last 32 of its setting. The pass that finds the value looks up
//     which process wrote it (WriterOf).
//
// program.go chooses and loads the programs. They are attached by bpf_link and pinned nowhere: they end with the
// process, however it ends.
//
// Lock and hold prevent accidental changes. They do not stop root, who can write the module's parameter
// through sysfs, unload the module, stop the daemon or detach the program.
package guard

// Package guard sees who writes nf_conntrack's settings, at once, and refuses foreign
// writes where it is asked to.
//
// A cgroup/sysctl program (BPF_PROG_TYPE_CGROUP_SYSCTL) on the root of the cgroup v2 tree
// runs before every read and write of a sysctl on the host, whatever procfs, pid namespace
// or container it comes through. It passes over all but writes to the settings that are
// kept, tells of those through a ring buffer, and may refuse them: the writer gets EPERM.
// Tracing programs, where CAP_PERFMON allows them, tell who loads and unloads the module
// and who writes its parameter hashsize through sysfs, which is no sysctl.
//
// The programs are attached by bpf_link and pinned nowhere: they go with the process, however
// it ends. In event → observe → diff → apply → record the guard is one more event that says
// "look", and the one who is asked afterwards who it was.
//
// The lock keeps honest programs off. It is no defence against root, who can write the
// module's parameter through sysfs, unload the module, stop the daemon or detach the program.
package guard

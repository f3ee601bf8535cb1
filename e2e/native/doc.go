// Package native boots Debian's own systemd without a virtual machine, in half a second: as process 1 of namespaces of
// its own (pid, mount, net, uts, ipc, cgroup) on this host's kernel, in a Debian root of any suite.
//
// A Machine has a writable copy of the root (an overlay in memory), a systemd that started all units, a journal, apt
// and dpkg, the unified hierarchy of control groups (cgroup v2), a network namespace with only lo, and in it
// nf_conntrack's settings, if the host's kernel has conntrack built in or loaded. Timeouts and other settings of a
// network namespace can be written.
//
// A Machine lacks: modules, which are the host's, and can be neither loaded nor unloaded; nf_conntrack_max and
// hashsize, which can be read and not written in a network namespace that is not the first one; udev; a network; the
// controllers of memory and processor time, unless the host has them in cgroup v2. /proc/sys is read-only but for
// /proc/sys/net, and so is /sys: nothing that runs in a machine changes the host's kernel. What needs a module or one
// of these two settings is a scenario of package e2e.
//
// The tests have the build tag native and run by `make native`, as root.
package native

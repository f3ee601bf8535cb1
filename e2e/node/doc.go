// Package node runs a Kubernetes node on this host's kernel, without a virtual machine: etcd, the API server,
// controller manager, scheduler, containerd and a kubelet, which pulls ctkeeper's image from a registry on the loopback
// device.
//
// All of it runs in namespaces of its own (pid, mount, net, uts, ipc), below this test program, which is process 1
// there: with it the kernel ends every process, also the containers, and removes every mount. Another process of the
// test program, the supervisor, starts that one, and removes its control groups at the end, however it ends.
//
// The node cannot change the host: / is read-only for it, but for file systems in memory on the directories that it
// needs, and /proc/sys is read-only but for /proc/sys/net, which is that of its network namespace. What the kubelet
// must write there (vm.overcommit_memory, kernel.panic and others) is a copy.
//
// A node lacks: pod networks (its pods use the node's), nf_conntrack_max and hashsize, which can be read and not
// written in a network namespace that is not the first one, and modules. What needs these is a scenario of package e2e.
//
// The kubelet has the control groups of this host: cgroup v1 with v2 beside it. With v2 alone it has not been tried.
//
// The programs of Kubernetes are built from its Go module and cached by package rig; etcd, containerd and runc are
// Debian's. The tests have the build tag node and run by `make node`, as root.
package node

// Package owner makes one daemon the owner of a network namespace, also among daemons that share no file: a service
// of the node and a pod with the host's network have other mount and pid namespaces.
//
// The mark is a netlink socket of the protocol NETLINK_USERSOCK with the port id [Port], in multicast group [Group].
// Port ids are unique in a network namespace and protocol (netlink_insert), and the kernel releases one when its
// process ends, however it ends. Joining a group needs CAP_NET_ADMIN over the namespace (netlink_bind,
// netlink_allowed); taking a port id does not. So /proc/net/netlink, which shows the groups, tells an owner from a
// process that took the port id without that right. NETLINK_USERSOCK is part of the kernel's image and loads no
// module.
//
// In event → observe → diff → apply → record it decides whether the daemon may apply.
package owner

// Package persist writes the files that make the next boot come up right: what modprobe(8)
// and systemd-modules-load read before ctkeeper runs. It owns those files whole
// and touches no other.
//
// It is apply for the time before the module is there; nothing of it runs in the
// daemon.
package persist

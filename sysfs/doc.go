// Package sysfs is the room for the kernel's setting files: the catalogue of
// nf_conntrack's settings (where each one lives, its kind, its range, when two
// values are the same to the kernel), what a configuration may want of one,
// reading and writing, and the watch for other people's writes.
//
// In event → observe → diff → apply → record it is the hands and the eyes:
// reconcile decides, this package touches. Nothing else in ctkeeper opens
// these files.
//
// The catalogue rests on net/netfilter/nf_conntrack_standalone.c,
// net/ipv6/netfilter/nf_conntrack_reasm.c and
// Documentation/networking/nf_conntrack-sysctl.rst of Linux 5.10 to 7.2.
package sysfs

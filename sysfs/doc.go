// Package sysfs is the only package that opens the kernel's setting files. It has the catalogue
// of nf_conntrack's settings (the file, unit and range of each, and the kernel's arithmetic),
// the values that a configuration wants, reads and writes, and the watcher for writes by others.
//
// In event → observe → diff → apply → record it does the observing and the applying; package
// reconcile decides.
//
// The catalogue rests on net/netfilter/nf_conntrack_standalone.c,
// net/ipv6/netfilter/nf_conntrack_reasm.c and
// Documentation/networking/nf_conntrack-sysctl.rst of Linux 5.10 to 7.2.
package sysfs

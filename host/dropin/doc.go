// Package dropin lists drop-in files: what several directories of one kind (sysctl.d, modprobe.d,
// a unit's .d) have together, as systemd and kmod combine them (sysctl.d(5), modprobe.d(5),
// systemd.unit(5)).
package dropin

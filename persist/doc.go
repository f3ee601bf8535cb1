// Package persist writes the boot files: what modprobe(8) and systemd-modules-load read at the
// next boot, before ctkeeper runs. It owns these files and never changes others.
//
// It does what apply does, for the time before the module is loaded. The daemon does not use it.
package persist

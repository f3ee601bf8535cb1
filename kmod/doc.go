// Package kmod reads the state of kernel modules, receives the uevents of their loads and unloads,
// and loads a module through modprobe(8). It also parses what decides how a module will be loaded:
// modprobe.d, the kernel command line, the files of depmod(8), and the module's own file.
//
// In event → observe → diff → apply → record it is a source of events, and observe reads the module
// state first. The package never opens ctnetlink and holds no reference to the module, so the module
// can be unloaded while ctkeeper runs.
package kmod

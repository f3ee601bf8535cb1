// Package kmod is the room for the kernel's modules: whether nf_conntrack is
// there, the uevents that say it came or went, and loading it through
// modprobe(8) where the configuration asks for that.
//
// In event → observe → diff → apply → record it is where events come from, and
// the first thing that observe looks at. It never opens ctnetlink and keeps no
// reference to the module, so the module can be unloaded while ctkeeper runs.
package kmod

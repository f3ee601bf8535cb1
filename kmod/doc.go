// Package kmod is the room for the kernel's modules: whether nf_conntrack is
// there, the uevents that say it came or went, and loading it through
// modprobe(8) where the configuration asks for that. It also reads, as text, what
// decides about a module's load before it happens: modprobe.d, the kernel command
// line, what depmod(8) wrote, and what a module's file says of itself.
//
// In event → observe → diff → apply → record it is where events come from, and
// the first thing that observe looks at. It never opens ctnetlink and keeps no
// reference to the module, so the module can be unloaded while ctkeeper runs.
package kmod

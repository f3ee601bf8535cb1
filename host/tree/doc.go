// Package tree is a host's files below a root directory: the running system, a
// disk, or a collected tree. Symbolic links resolve within the tree, as after
// chroot(2); reads are bounded and never wait; writes are atomic.
//
// In event → observe → diff → apply → record it is below all of them: rooms that
// read a host's ordinary files (configuration, modprobe.d, /proc, the log) read
// them through it. The kernel's setting files are the room sysfs's.
package tree

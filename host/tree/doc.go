// Package tree reads and writes a host's files below a root directory: those of the running system, a disk,
// or a collected tree. Symbolic links resolve within the tree, as after chroot(2). Reads are bounded and
// never block; writes are atomic.
//
// In event → observe → diff → apply → record it is below all of them: packages read a host's ordinary files
// (configuration, modprobe.d, /proc, logs) through it. The kernel's setting files belong to the package
// sysfs.
package tree

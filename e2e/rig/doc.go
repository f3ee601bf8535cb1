// Package rig builds and boots the virtual machines of the end-to-end tests: a
// Debian bookworm root, one of four Debian kernels, and an overlay made anew for
// every run, all three cpio archives that the kernel unpacks as its initramfs.
// Nothing in it knows what ctkeeper does.
//
// Roots and kernels are kept in a cache and made once for each package version
// and recipe. No network card is given to the machine: what happens inside
// depends on nothing outside.
package rig

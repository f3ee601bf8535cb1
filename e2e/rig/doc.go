// Package rig builds and boots the virtual machines of the end-to-end tests: a Debian bookworm root, one of four
// Debian kernels, and an overlay that is new for each run. All three are cpio archives, which the kernel unpacks as
// its initramfs. The package has nothing in it about ctkeeper.
//
// Roots and kernels are cached: they are built once for each package version and recipe. The machine has no network
// card, so what happens in it depends on nothing outside.
package rig

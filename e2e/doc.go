// Package e2e runs ctkeeper on real kernels. Its one test boots a Debian root
// under a Debian kernel in QEMU (package rig), with ctkeeper installed by
// `make install`, and runs every test of package scenarios inside, under a full
// systemd. Each scenario is reported here by name.
//
// The test is behind the build tag e2e, and runs through `make e2e`; the kernel
// is chosen with KERNEL=5.10|6.1|6.12|sid.
package e2e

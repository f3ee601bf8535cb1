// Package e2e runs ctkeeper on real kernels. TestE2E boots a Debian root under a Debian kernel in QEMU (package rig),
// with ctkeeper installed by `make install`, and runs every test of package scenarios in it, under a full systemd.
// Each scenario is reported here by name. TestReboot and TestGuardAtBoot boot a machine for each of their scenarios,
// TestOwners one with a larger root, which has the real programs that set the same values.
//
// The tests have the build tag e2e and run by `make e2e`, with the kernel KERNEL=5.10|6.1|6.12|sid.
package e2e

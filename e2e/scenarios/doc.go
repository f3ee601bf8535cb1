// Package scenarios tests ctkeeper on a real kernel under a real systemd. The tests have the build tag guest: they
// unload modules, restart units and write sysctls, so they run only in the virtual machine that package e2e boots.
package scenarios

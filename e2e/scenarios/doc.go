// Package scenarios holds what ctkeeper must do on a real kernel under a real
// systemd. The tests are behind the build tag guest: they unload modules,
// restart units and write sysctls, and so run only inside the virtual machine
// that package e2e boots for them.
package scenarios

// Package boot checks whether the next boot brings back the live values, and whether the boot files and the
// load-time parameters are as wanted.
package boot

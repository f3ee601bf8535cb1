// Package kerneltree makes directories with the files of /proc and /sys that ctkeeper reads, for tests with --root.
//
// A tree has plain files: unlike the kernel they neither round nor refuse a value. Tests of that run on the kernel.
package kerneltree

// Package kerneltree makes directories that look like a host's /proc and /sys as
// far as ctkeeper reads them, for tests that run with --root.
//
// A tree is plain files: it keeps what is written, and neither rounds nor
// refuses. What the kernel does to a value is tested on the kernel.
package kerneltree

package kmod

import "github.com/ctkeeper/ctkeeper/tree"

// Info is the .modinfo section of a module's file (MODULE_INFO of
// include/linux/moduleparam.h).
type Info struct {
	// Parameters has each parameter's type by name, from parmtype; "" where a
	// parm has no type.
	Parameters map[string]string
	Depends    []string
	Vermagic   string
	// Signed is true where a signature is appended to the file.
	Signed bool
}

// ReadInfo reads a module's file: .ko, .ko.gz, .ko.xz or .ko.zst. Unpacked it may
// be 64 MiB at most.
func ReadInfo(t tree.Tree, path string) (Info, error) { return Info{}, nil }

// Parameters names the parameters that a module of this host has: of the loaded one
// in /sys/module, else of the file for the running kernel, and where it was read. Nil
// where neither can be read.
func Parameters(t tree.Tree, module string) (names map[string]bool, from string) { return nil, "" }

package kmod

import "github.com/ctkeeper/ctkeeper/tree"

// CommandLine is the kernel's (/proc/cmdline), as words with quotes taken off.
type CommandLine struct{ Words []string }

// ReadCommandLine reads /proc/cmdline.
func ReadCommandLine(t tree.Tree) (CommandLine, error) { return CommandLine{}, nil }

// Value is the value of the last name=value, and whether there is one. "-" and "_"
// are the same in names.
func (c CommandLine) Value(name string) (string, bool) { return "", false }

// Options gives the parameters for a module ("nf_conntrack.hashsize=4096"), which
// modprobe(8) adds to those of modprobe.d, and a built-in takes as they are.
func (c CommandLine) Options(module string) []Option { return nil }

// Blacklist gives the word that keeps a module out: of modprobe.blacklist= or
// module_blacklist=, or "".
func (c CommandLine) Blacklist(module string) string { return "" }

package kmod

import (
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

const (
	commandLine = "/proc/cmdline"
	// maxCommandLine, in bytes, is above COMMAND_LINE_SIZE of every architecture.
	maxCommandLine = 64 << 10
)

// CommandLine is the kernel command line (/proc/cmdline) as words without their quotes.
type CommandLine struct{ Words []string }

// ReadCommandLine reads /proc/cmdline.
func ReadCommandLine(t tree.Tree) (CommandLine, error) {
	text, err := t.Read(commandLine, maxCommandLine)
	if err != nil {
		return CommandLine{}, err
	}
	return ParseCommandLine(string(text)), nil
}

// ParseCommandLine splits a kernel command line into words (next_arg of lib/cmdline.c).
func ParseCommandLine(text string) CommandLine {
	var c CommandLine
	for text = trimSpace(text); text != ""; text = trimSpace(text) {
		var o Option
		before := text
		o, text = nextArgument(text)
		// The name as it was written: nextArgument has replaced its hyphens.
		name := strings.TrimPrefix(before, `"`)[:len(o.Name)]
		if !o.Bare {
			name += "=" + o.Value
		}
		c.Words = append(c.Words, name)
	}
	return c
}

// splitWord splits name=value. A leading "=" is part of the name.
func splitWord(word string) (name, value string, bare bool) {
	if word == "" {
		return "", "", true
	}
	if i := strings.IndexByte(word[1:], '='); i >= 0 {
		return NormalizeName(word[:i+1]), word[i+2:], false
	}
	return NormalizeName(word), "", true
}

// kernelWords returns the words that the kernel reads: those after "--" are for init.
func (c CommandLine) kernelWords() []string {
	if end := slices.Index(c.Words, "--"); end >= 0 {
		return c.Words[:end]
	}
	return c.Words
}

// Value returns the value of the last name=value, and whether there is one. In names "-" and "_" are
// the same.
func (c CommandLine) Value(name string) (string, bool) {
	last, found := "", false
	for _, word := range c.kernelWords() {
		if other, value, bare := splitWord(word); !bare && other == NormalizeName(name) {
			last, found = value, true
		}
	}
	return last, found
}

// Options returns the parameters for a module ("nf_conntrack.hashsize=4096"). modprobe(8) adds them
// to those of modprobe.d; for a built-in module the kernel reads them itself.
func (c CommandLine) Options(module string) []Option {
	var options []Option
	for _, word := range c.Words {
		name, value, bare := splitWord(word)
		if parameter, ok := strings.CutPrefix(name, NormalizeName(module)+"."); ok && parameter != "" {
			place := tree.Place{File: commandLine}
			options = append(options, Option{Place: place, Name: parameter, Value: value, Bare: bare})
		}
	}
	return options
}

// BlacklistWord returns the word that blacklists a module, or "". modprobe(8) reads
// modprobe.blacklist= like a blacklist line; for module_blacklist= the kernel itself refuses to load
// the module (blacklisted of kernel/module/main.c).
func (c CommandLine) BlacklistWord(module string) string {
	module = NormalizeName(module)
	for _, word := range c.Words {
		name, value, _ := splitWord(word)
		if name == "modprobe.blacklist" && slices.Contains(strings.Split(NormalizeName(value), ","), module) {
			return word
		}
	}
	// The kernel reads only the last module_blacklist=, and there "-" and "_" differ.
	refusedBy := ""
	for _, word := range c.kernelWords() {
		if name, value, bare := splitWord(word); !bare && name == "module_blacklist" {
			refusedBy = ""
			if slices.Contains(strings.Split(value, ","), module) {
				refusedBy = word
			}
		}
	}
	return refusedBy
}

package kmod

import (
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

const (
	commandLine = "/proc/cmdline"
	// maxCommandLine is above COMMAND_LINE_SIZE of every architecture, in bytes.
	maxCommandLine = 64 << 10
)

// CommandLine is the kernel's (/proc/cmdline), as words with quotes taken off.
type CommandLine struct{ Words []string }

// ReadCommandLine reads /proc/cmdline.
func ReadCommandLine(t tree.Tree) (CommandLine, error) {
	text, err := t.Read(commandLine, maxCommandLine)
	if err != nil {
		return CommandLine{}, err
	}
	return ParseCommandLine(string(text)), nil
}

// ParseCommandLine takes a kernel command line apart (next_arg of lib/cmdline.c).
func ParseCommandLine(text string) CommandLine {
	var c CommandLine
	for text = trimSpace(text); text != ""; text = trimSpace(text) {
		var o Option
		before := text
		o, text = nextArgument(text)
		// The name as it was written, which nextArgument gives the kernel's form.
		name := strings.TrimPrefix(before, `"`)[:len(o.Name)]
		if !o.Bare {
			name += "=" + o.Value
		}
		c.Words = append(c.Words, name)
	}
	return c
}

// split takes a word apart. A "=" in front is a part of the name.
func split(word string) (name, value string, bare bool) {
	if word == "" {
		return "", "", true
	}
	if i := strings.IndexByte(word[1:], '='); i >= 0 {
		return underscores(word[:i+1]), word[i+2:], false
	}
	return underscores(word), "", true
}

// kernel gives the words that the kernel reads: those behind "--" are init's.
func (c CommandLine) kernel() []string {
	if end := slices.Index(c.Words, "--"); end >= 0 {
		return c.Words[:end]
	}
	return c.Words
}

// Value is the value of the last name=value, and whether there is one. "-" and "_"
// are the same in names.
func (c CommandLine) Value(name string) (string, bool) {
	last, found := "", false
	for _, word := range c.kernel() {
		if other, value, bare := split(word); !bare && other == underscores(name) {
			last, found = value, true
		}
	}
	return last, found
}

// Options gives the parameters for a module ("nf_conntrack.hashsize=4096"), which
// modprobe(8) adds to those of modprobe.d, and a built-in takes as they are.
func (c CommandLine) Options(module string) []Option {
	var options []Option
	for _, word := range c.Words {
		name, value, bare := split(word)
		if parameter, ok := strings.CutPrefix(name, underscores(module)+"."); ok && parameter != "" {
			options = append(options, Option{Place: tree.Place{File: commandLine}, Name: parameter, Value: value, Bare: bare})
		}
	}
	return options
}

// Blacklist gives the word that keeps a module out: of modprobe.blacklist=, which
// modprobe(8) reads like a blacklist line, or of module_blacklist=, by which the kernel itself
// refuses to load it (blacklisted of kernel/module/main.c), or "".
func (c CommandLine) Blacklist(module string) string {
	module = underscores(module)
	for _, word := range c.Words {
		name, value, _ := split(word)
		if name == "modprobe.blacklist" && slices.Contains(strings.Split(underscores(value), ","), module) {
			return word
		}
	}
	// The kernel keeps the last one alone, and compares letter by letter.
	refuses := ""
	for _, word := range c.kernel() {
		if name, value, bare := split(word); !bare && name == "module_blacklist" {
			refuses = ""
			if slices.Contains(strings.Split(value, ","), module) {
				refuses = word
			}
		}
	}
	return refuses
}

package inventory

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
)

const (
	commandLineFile = "/proc/cmdline"
	inImage         = "the module is part of the kernel: modprobe does not load it"
)

// commandLine is the kernel's; what cannot be read is empty.
func (r *reader) commandLine() kmod.CommandLine {
	line, err := kmod.ReadCommandLine(r.tree)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.trouble(tree.Place{File: commandLineFile}, cause(err))
	}
	return line
}

// modprobe adds the load-time parameters of modprobe.d(5) and of the kernel command
// line, and what an install command of modprobe.d sets.
func (r *reader) modprobe(files []sysctlFile) {
	m := kmod.ReadModprobe(r.tree)
	r.inv.Modprobe = m
	lost := ""
	if r.builtIn {
		lost = inImage
	}
	for _, o := range m.Options(kmod.Conntrack) {
		r.option(o, "modprobe", lost)
	}
	for _, d := range m.Of("options", "ip_conntrack") {
		for word := range strings.FieldsSeq(d.Args) {
			name, value, assigned := strings.Cut(word, "=")
			r.option(kmod.Option{Place: d.Place, Name: name, Value: value, Bare: !assigned}, "modprobe",
				"it counts only where the module is loaded by the name ip_conntrack")
		}
	}
	for _, o := range r.commandLine().Options(kmod.Conntrack) {
		if o.File == "" {
			o.Place = tree.Place{File: commandLineFile}
		}
		r.option(o, "kernel", "")
	}
	// Only the first install command of a module is run (kmod_module_get_install_commands).
	for i, d := range m.Of("install", kmod.Conntrack) {
		lost := lost
		if i > 0 {
			lost = m.Of("install", kmod.Conntrack)[0].Place.String() + " is the one that is run"
		}
		r.shell(script{Place: d.Place, oneLine: true, by: "modprobe", phase: AfterModuleLoad, lost: lost}, d.Args, files)
	}
}

func (r *reader) option(o kmod.Option, by, lost string) {
	if o.Bare {
		o.Value = "1" // parse_args: a bool without a value is true
	}
	if _, known := r.ours[o.File]; !known {
		r.ours[o.File] = false
		r.read(o.File) // is it ours?
	}
	again := slices.ContainsFunc(r.inv.Assignments, func(a Assignment) bool {
		return a.Parameter && a.Place == o.Place && a.Name == o.Name && a.Value == o.Value
	})
	if !again {
		r.add(Assignment{Place: o.Place, Name: o.Name, Parameter: true, Key: o.Name, Value: o.Value, Tool: by, Phase: AtModuleLoad, NoEffect: lost})
	}
}

package inventory

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
)

const commandLineFile = "/proc/cmdline"

// commandLine returns the kernel's command line, empty if it cannot be read.
func (r *reader) commandLine() kmod.CommandLine {
	line, err := kmod.ReadCommandLine(r.tree)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.addTrouble(tree.Place{File: commandLineFile}, tree.WithoutPath(err))
	}
	return line
}

// readModprobe reads the load-time parameters in modprobe.d(5) and on the kernel command line, and
// the values that an install command of modprobe.d sets.
func (r *reader) readModprobe() {
	m := kmod.ReadModprobe(r.tree)
	r.inv.Modprobe = m
	r.addDeadOptions()
	noEffect := ""
	if r.builtIn {
		noEffect = "the module is part of the kernel: modprobe does not load it"
	}
	r.addModuleOptions(m.Options(kmod.Conntrack), "modprobe", noEffect)
	r.addModuleOptions(m.Options("ip_conntrack"), "modprobe",
		"it counts only where the module is loaded by the name ip_conntrack")
	r.addModuleOptions(r.commandLine().Options(kmod.Conntrack), "kernel", "")
	r.readKernelSysctls()
	installs := m.Find("install", kmod.Conntrack)
	for i, d := range installs {
		if i > 0 { // kmod_module_get_install_commands
			noEffect = installs[0].Place.String() + " is the one that is run"
		}
		s := script{Place: d.Place, oneLine: true, tool: "modprobe", phase: AfterModuleLoad, noEffect: noEffect}
		r.addScript(s, d.Args)
	}
}

// readKernelSysctls reads the sysctl.KEY=VALUE of the kernel command line. The kernel applies them before it
// starts init (do_sysctl_args in fs/proc/proc_sysctl.c, since 5.8): a module's keys do not exist yet.
func (r *reader) readKernelSysctls() {
	at := tree.Place{File: commandLineFile}
	for _, word := range r.commandLine().Words {
		key, value, found := strings.Cut(strings.TrimPrefix(word, "sysctl."), "=")
		setting, _, isOurs := r.setting(sysctlName(key))
		switch {
		case !found || !isOurs || !strings.HasPrefix(word, "sysctl."):
		case r.builtIn:
			r.addAssignment(Assignment{
				Place: at, Name: setting, Key: "sysctl." + key, Value: value, Tool: "kernel", Phase: AtModuleLoad,
			})
		default:
			r.addDead(DeadLine{Place: at, Why: "the kernel applies " + word + " before nf_conntrack is loaded"})
		}
	}
}

// addModuleOptions adds load-time parameters. A word without a value that is no parameter's name is
// ignored, here as in the kernel.
func (r *reader) addModuleOptions(options []kmod.Option, tool, noEffect string) {
	for i, o := range options {
		isBool, known := parameterIsBool[o.Name]
		a := Assignment{
			Place: o.Place, Name: o.Name, Parameter: true, Key: o.Name, Value: o.Value,
			Tool: tool, Phase: AtModuleLoad, NoEffect: noEffect,
		}
		switch {
		case o.Bare && !known:
			continue
		case o.Bare && isBool:
			a.Value = "1" // param_set_bool
		case o.Value == "":
			a.Meant = meantOption(options, i)
		}
		if _, known := r.fromPersist[o.File]; !known {
			r.fromPersist[o.File] = false
			r.read(o.File) // sets fromPersist
		}
		r.evaluate(&a)
		isSame := func(b Assignment) bool {
			return b.Parameter && b.Place == a.Place && b.Name == a.Name && b.Value == a.Value
		}
		if !slices.ContainsFunc(r.inv.Assignments, isSame) {
			r.addAssignment(a)
		}
	}
}

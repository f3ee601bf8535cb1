package inventory

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/dropin"
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
	noEffect := ""
	if r.builtIn {
		noEffect = "the module is part of the kernel: modprobe does not load it"
	}
	r.addModuleOptions(m.Options(kmod.Conntrack), "modprobe", noEffect)
	r.addModuleOptions(m.Options("ip_conntrack"), "modprobe",
		"it counts only where the module is loaded by the name ip_conntrack")
	r.addModuleOptions(r.commandLine().Options(kmod.Conntrack), "kernel", "")
	installs := m.Find("install", kmod.Conntrack)
	for i, d := range installs {
		if i > 0 { // kmod_module_get_install_commands
			noEffect = installs[0].Place.String() + " is the one that is run"
		}
		s := script{Place: d.Place, oneLine: true, tool: "modprobe", phase: AfterModuleLoad, noEffect: noEffect}
		r.addScript(s, d.Args)
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

// readModulesLoad reads the lines that load nf_conntrack before the sysctl files are applied. With
// systemd these are in modules-load.d(5) and on the kernel command line; systemd reads /etc/modules
// only through a link. Other init systems read modules-load.d and /etc/modules. The init scripts of
// CentOS 6 have their own files (readSysconfigModules).
func (r *reader) readModulesLoad() {
	files := r.dropins(".conf", dropin.Dirs("modules-load.d")...)
	switch r.init {
	case initScripts:
		return
	case initSystemd:
		names, ok := r.commandLine().Value("modules_load")
		if ok && slices.ContainsFunc(strings.Split(names, ","), needsConntrack) {
			r.inv.EarlyLoads = append(r.inv.EarlyLoads, tree.Place{File: commandLineFile})
		}
	default:
		files = append(files, dropin.File{Path: "/etc/modules"})
	}
	for _, f := range files {
		if f.HiddenBy != "" {
			continue
		}
		text, _ := r.read(f.Path)
		for number, line := range numbered(text) {
			if fields := strings.Fields(line); len(fields) > 0 && needsConntrack(fields[0]) {
				r.inv.EarlyLoads = append(r.inv.EarlyLoads, tree.Place{File: f.Path, Line: number})
			}
		}
	}
}

// needsConntrack reports whether a module is nf_conntrack or needs it, so that modprobe(8) loads
// both. It knows the kernel's modules that people name in such files.
func needsConntrack(module string) bool {
	module = kmod.NormalizeName(module)
	for _, prefix := range []string{
		"nf_conntrack", "nf_nat", "ip_conntrack", "ip_nat_", "nf_flow_table", "nft_ct", "nft_nat", "nft_masq",
		"nft_chain_nat",
	} {
		if strings.HasPrefix(module, prefix) {
			return true
		}
	}
	return slices.Contains([]string{
		"iptable_nat", "ip6table_nat", "xt_conntrack", "xt_state", "xt_CT", "xt_connlimit", "xt_connmark",
		"xt_CONNMARK", "xt_connbytes", "xt_connlabel", "xt_helper", "xt_nat", "xt_MASQUERADE", "ipt_MASQUERADE",
		"xt_REDIRECT", "ip_vs", "act_ct", "openvswitch", "nft_redir", "nft_connlimit", "nft_flow_offload",
	}, module)
}

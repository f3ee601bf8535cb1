package inventory

import (
	"errors"
	"path"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/dropin"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
)

// moduleList is a file with modules that are loaded at boot, one in a line.
type moduleList struct {
	file string
	// dead is why nothing reads the file, or "".
	dead string
	// whole is true if the reader takes the whole line for a module's name, or ignores the words after it.
	// Otherwise they are parameters.
	whole bool
}

// readModulesLoad reads the lists of modules that the init system loads before the sysctl files are
// applied, and the lists that only another init system would read.
func (r *reader) readModulesLoad() {
	if r.init == initSystemd {
		names, _ := r.commandLine().Value("modules_load")
		for name := range strings.SplitSeq(names, ",") {
			r.addLoad(tree.Place{File: commandLineFile}, name)
		}
	}
	for _, l := range r.moduleLists() {
		text, _ := r.read(l.file)
		r.markUnderstood(tree.Place{File: l.file})
		for number, line := range numbered(text) {
			r.addModuleLine(l, tree.Place{File: l.file, Line: number}, strings.TrimSpace(line))
		}
	}
	r.readOpenRCModules()
	r.readInitramfsModules()
}

// addModuleLine adds a line of a list.
func (r *reader) addModuleLine(l moduleList, at tree.Place, line string) {
	fields := strings.Fields(line)
	switch {
	case len(fields) == 0 || line[0] == '#' || line[0] == ';':
	case l.dead != "":
		if needsConntrack(fields[0]) {
			r.addDeadLoad(at, l.dead)
		}
	case l.whole && len(fields) > 1 && r.init == initSystemd: // load_module of systemd's modules-load.c
		if slices.ContainsFunc(fields, needsConntrack) { // also of "modprobe nf_conntrack"
			r.addDeadLoad(at, "systemd-modules-load takes the whole line for the name of a module")
		}
	default:
		r.addLoad(at, fields[0])
		if !l.whole { // modprobe is run with the rest of the line
			r.addModprobeCommand(script{Place: at, tool: "modules", phase: AtModuleLoad}, at, fields)
		}
	}
}

// addLoad adds a line that loads a module at boot, if nf_conntrack is loaded with it. A name that this
// kernel does not have is a dead line.
func (r *reader) addLoad(at tree.Place, name string) {
	if loads, why := r.loadsConntrack(name); loads {
		r.inv.EarlyLoads = append(r.inv.EarlyLoads, at)
		r.coreOnly[at] = !r.loadsProtocols(name)
	} else if why != "" {
		r.addDeadLoad(at, why)
	}
}

// moduleLists returns the lists of modules on this host.
func (r *reader) moduleLists() []moduleList {
	all := moduleList{whole: r.init == initSystemd}
	old := moduleList{file: "/etc/modules"}
	switch r.init {
	case initSystemd:
		old.dead = "systemd reads /etc/modules only through a link in modules-load.d"
	case initScripts:
		all.dead, old.dead = "rc.sysinit does not read modules-load.d", "rc.sysinit does not read /etc/modules"
	case initOpenWrt:
		all.dead, old.dead = "OpenWrt does not read modules-load.d", "OpenWrt does not read /etc/modules"
	case initOpenRC:
		script, _ := r.read("/etc/init.d/modules")
		if strings.Contains(script, "find_modfiles") { // OpenRC's own script; Alpine has another one
			old.dead, all.whole = "OpenRC does not read /etc/modules", true
		}
		if !r.isInRunlevel("modules") {
			all.dead = "the service modules, which would read it, is in no runlevel of the boot"
			old.dead = all.dead
		}
	}
	var lists []moduleList
	for _, f := range r.dropins(".conf", dropin.Dirs("modules-load.d")...) {
		l := all
		l.file = f.Path
		if end, _, err := r.tree.Resolve(f.Path); err == nil && end == old.file {
			old.dead, old.file = "", "" // it is read here
		}
		if f.HiddenBy == "" {
			lists = append(lists, l)
		}
	}
	if old.file != "" {
		lists = append(lists, old)
	}
	for _, dir := range []string{"/etc/modules-boot.d", "/etc/modules.d"} {
		for _, name := range r.list(dir) {
			l := moduleList{file: path.Join(dir, name)}
			if r.init != initOpenWrt {
				l.dead = "only OpenWrt reads " + dir
			}
			lists = append(lists, l)
		}
	}
	return append(lists, r.misspeltLists()...)
}

// misspeltLists returns the files that look like lists of modules, and that no program reads.
func (r *reader) misspeltLists() []moduleList {
	var lists []moduleList
	for _, dir := range []string{
		"/etc/modules.load.d", "/etc/module-load.d", "/etc/modules-load", "/etc/modules_load.d",
		"/etc/modules-load.conf.d",
	} {
		names, _ := r.tree.List(dir) // hardly any host has it
		for _, name := range names {
			lists = append(lists, moduleList{file: path.Join(dir, name), dead: "no program reads " + dir})
		}
	}
	for _, name := range r.list("/etc/modules-load.d") {
		if !strings.HasSuffix(name, ".conf") && !isBackup(name) {
			file := path.Join("/etc/modules-load.d", name)
			lists = append(lists, moduleList{file: file, dead: "the name of the file does not end in .conf"})
		}
	}
	return slices.DeleteFunc(lists, func(l moduleList) bool { return !r.isFile(l.file) })
}

// isBackup reports whether a file's name says that nothing is meant to read it.
func isBackup(name string) bool {
	return strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~") || strings.HasPrefix(name, "README") ||
		slices.Contains([]string{
			".bak", ".backup", ".old", ".orig", ".save", ".saved", ".rpmsave", ".rpmnew", ".rpmorig", ".dpkg-old",
			".dpkg-dist", ".dpkg-new", ".dpkg-bak", ".ucf-old", ".ucf-dist", ".disabled", ".off", ".sample",
			".example", ".swp", ".tmp",
		}, path.Ext(name))
}

// readOpenRCModules reads the modules in the configuration of OpenRC's service modules. Alpine's script
// does not use it.
func (r *reader) readOpenRCModules() {
	const file = "/etc/conf.d/modules"
	pairs := r.shellPairs(file)
	list, found := pairs["modules"]
	if !found {
		return
	}
	script, _ := r.read("/etc/init.d/modules")
	dead := ""
	switch {
	case r.init != initOpenRC:
		dead = "only OpenRC reads " + file
	case !strings.Contains(script, "find_modfiles") && strings.Contains(script, "/etc/modules"):
		dead = "the service modules of this host does not read " + file
	case !r.isInRunlevel("modules"):
		dead = "the service modules, which would read it, is in no runlevel of the boot"
	}
	for name := range strings.FieldsSeq(list.value) {
		if dead == "" {
			r.addLoad(list.Place, name)
			if args := pairs["module_"+name+"_args"]; name == kmod.Conntrack {
				r.addModuleOptions(kmod.ParseOptions(args.Place, args.value), "modules", "")
			}
		} else if needsConntrack(name) {
			r.addDeadLoad(list.Place, dead)
		}
	}
}

// readInitramfsModules looks for the lists of modules that an initramfs loads. Whether it was built with
// them, no file says: they only keep the sysctl files from being called too early.
func (r *reader) readInitramfsModules() {
	files := []string{"/etc/initramfs-tools/modules", "/etc/mkinitcpio.conf", "/etc/dracut.conf"}
	dirs := []string{"/etc/dracut.conf.d", "/usr/lib/dracut/dracut.conf.d", "/etc/mkinitcpio.conf.d"}
	for _, f := range r.dropins(".conf", dirs...) {
		files = append(files, f.Path)
	}
	for _, file := range files {
		text, _ := r.read(file)
		for _, line := range numbered(text) {
			line = strings.TrimSpace(line)
			isList := strings.HasSuffix(file, "/modules") || strings.HasPrefix(line, "MODULES") ||
				strings.HasPrefix(line, "force_drivers") // add_drivers only packs them
			words := strings.FieldsFunc(line, func(c rune) bool { return strings.ContainsRune(` ="'()+`, c) })
			if isList && !strings.HasPrefix(line, "#") && slices.ContainsFunc(words, needsConntrack) {
				r.markUnderstood(tree.Place{File: file})
				r.maybeEarly = true
			}
		}
	}
}

// loadsConntrack reports whether modprobe loads nf_conntrack together with a module. Where it does not
// although the name is that of such a module, why is the reason. It goes by what depmod(8) wrote; only
// without that by the names of the kernel's modules.
func (r *reader) loadsConntrack(name string) (loads bool, why string) {
	name = kmod.NormalizeName(name)
	kernels := r.kernelIndexes()
	if name == kmod.Conntrack || len(kernels) == 0 {
		return needsConntrack(name), ""
	}
	known := false
	for _, x := range kernels {
		targets := append(x.Aliases(r.tree, r.inv.Modprobe, name), name)
		for _, target := range targets {
			known = known || x.Has(target)
			if x.Loads(r.inv.Modprobe, target, kmod.Conntrack) {
				return true, ""
			}
		}
	}
	if known || !needsConntrack(name) && !strings.Contains(name, "conntrack") {
		return false, ""
	}
	release := path.Base(kernels[len(kernels)-1].Dir)
	return false, "kernel " + release + " has no module " + name + goneModule(name)
}

// loadsProtocols reports whether a module that loads nf_conntrack brings the settings of the protocols too.
// Before Linux 4.19 nf_conntrack itself and its helpers do not; NAT needs the modules that do.
func (r *reader) loadsProtocols(name string) bool {
	protocols := kmod.ProtocolModules(r.release())
	if len(protocols) == 0 {
		return true
	}
	name = kmod.NormalizeName(name)
	for _, x := range r.kernelIndexes() {
		for _, target := range append(x.Aliases(r.tree, r.inv.Modprobe, name), name) {
			if slices.ContainsFunc(protocols, func(p string) bool { return x.Loads(r.inv.Modprobe, target, p) }) {
				return true
			}
		}
	}
	return len(r.kernelIndexes()) == 0 && name != kmod.Conntrack
}

// commandLoads is loadsConntrack without the reason.
func (r *reader) commandLoads(name string) bool {
	loads, _ := r.loadsConntrack(name)
	return loads
}

// addDeadOptions adds the lines of modprobe.d for a module that no kernel of this host has: one that is gone,
// or the name of a parameter in place of a module's.
func (r *reader) addDeadOptions() {
	for _, d := range r.inv.Modprobe.Directives {
		if d.Kind != "options" && d.Kind != "install" || d.Module == kmod.Conntrack {
			continue
		}
		isParameter := slices.Contains([]string{"hashsize", "expect_hashsize", "acct", "tstamp"}, d.Module)
		_, why := r.loadsConntrack(d.Module)
		if d.Kind == "options" && d.Module == "ip_conntrack" && why == "" { // kmod_module_get_options
			why = "it counts only where the module is loaded by the name ip_conntrack"
		}
		if why == "" && isParameter && len(r.kernelIndexes()) > 0 {
			why = d.Module + " is no module: it is a parameter of nf_conntrack"
		}
		if why != "" {
			r.addDead(DeadLine{Place: d.Place, Why: why})
		}
	}
	unread := map[string]string{}
	names, _ := r.tree.List("/etc/modprobe.conf.d")
	for _, name := range names {
		unread[path.Join("/etc/modprobe.conf.d", name)] = "no program reads /etc/modprobe.conf.d"
	}
	for _, t := range r.inv.Modprobe.Troubles {
		if errors.Is(t.Err, kmod.ErrNotRead) {
			unread[t.File] = kmod.ErrNotRead.Error()
		}
	}
	for _, name := range r.list("/etc/modprobe.d") {
		isRead := strings.HasSuffix(name, ".conf") || strings.HasSuffix(name, ".alias")
		if !isRead && !isBackup(name) && r.init != initScripts { // module-init-tools reads all names
			unread[path.Join("/etc/modprobe.d", name)] = "the name of the file does not end in .conf"
		}
	}
	for file, why := range unread {
		if !r.isFile(file) {
			continue
		}
		text, _ := r.read(file)
		directives, _ := kmod.ParseModprobe(file, []byte(text))
		for _, d := range directives {
			if needsConntrack(d.Module) {
				r.addDead(DeadLine{Place: d.Place, Why: why})
			}
		}
	}
}

// goneModule returns what became of a module that newer kernels do not have.
func goneModule(name string) string {
	switch name {
	case "nf_conntrack_ipv4", "nf_conntrack_ipv6":
		return ": since Linux 4.19 it is part of nf_conntrack"
	case "nf_nat_ipv4", "nf_nat_ipv6":
		return ": since Linux 5.1 it is part of nf_nat"
	}
	return ""
}

// kernelIndexes returns the modules of the running kernel, or of all installed ones if none runs. It leaves
// out a kernel without a modules.dep.
func (r *reader) kernelIndexes() []kmod.Index {
	if r.kernels == nil {
		r.kernels = []kmod.Index{}
		for _, release := range kmod.Releases(r.tree) {
			if x, err := kmod.ReadIndex(r.tree, release); err == nil && len(x.Files) > 0 {
				r.kernels = append(r.kernels, x)
			}
		}
	}
	return r.kernels
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

package inventory

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

// initKind is what starts a host, as far as it decides who reads sysctl files.
type initKind string

const (
	initSystemd initKind = "systemd"
	initScripts initKind = "rc.sysinit" // of CentOS 6
	initOpenRC  initKind = "OpenRC"
	initOther   initKind = "init"
)

func (r *reader) initSystem() initKind {
	any := func(paths ...string) bool { return slices.ContainsFunc(paths, r.tree.Exists) }
	switch {
	case any("/run/systemd/system"):
		return initSystemd
	case any("/etc/rc.d/rc.sysinit", "/etc/rc.sysinit"):
		return initScripts
	case any("/sbin/openrc", "/usr/sbin/openrc", "/etc/runlevels"):
		return initOpenRC
	case any("/usr/lib/systemd/systemd", "/lib/systemd/systemd"):
		return initSystemd
	case any("/etc/inittab"):
		return initOther
	}
	return initSystemd
}

// sysctlAtBoot adds what the host's init applies of the sysctl files.
func (r *reader) sysctlAtBoot(init initKind, files []sysctlFile) {
	run := sysctlRun{by: "sysctl", phase: AtBoot}
	switch init {
	case initSystemd:
		run.by, run.unchanged = "systemd-sysctl", true
		files = withoutConf(files)
	case initScripts:
		files = inDirs(files, "/usr/lib", "/run", "/etc", sysctlConf)
	case initOpenRC:
		files = r.openRC(files)
	}
	for _, f := range files {
		if f.hidden != "" && !isReadAgain(files, f.path) {
			for _, line := range f.lines {
				r.assign(run, line, line.name, f.hidden)
			}
		}
	}
	lines := linesOf(files)
	r.apply(run, lines)
	for _, line := range slices.Backward(lines) {
		if line.name == "kernel/modules_disabled" && !line.bare {
			r.setSwitch("sysctl", "kernel.modules_disabled", line.value, line.Place, false)
			break
		}
	}
}

func isReadAgain(files []sysctlFile, path string) bool {
	return slices.ContainsFunc(files, func(f sysctlFile) bool { return f.path == path && f.hidden == "" })
}

// withoutConf leaves out /etc/sysctl.conf, which systemd-sysctl reads by a link in
// sysctl.d or not at all.
func withoutConf(files []sysctlFile) []sysctlFile {
	return slices.DeleteFunc(slices.Clone(files), func(f sysctlFile) bool { return f.path == sysctlConf })
}

// inDirs puts the files in the order of init scripts that go from directory to
// directory; what is elsewhere they do not read.
func inDirs(files []sysctlFile, dirs ...string) []sysctlFile {
	var sorted []sysctlFile
	for _, dir := range dirs {
		for _, f := range files {
			if f.path == dir || filepath.Dir(f.path) == dir+"/sysctl.d" {
				sorted = append(sorted, f)
			}
		}
	}
	return sorted
}

// openRC is what OpenRC's service sysctl reads: Alpine's own script goes through
// the directories with /etc/sysctl.conf before /run; OpenRC's runs sysctl --system
// or, with BusyBox, reads /etc alone.
func (r *reader) openRC(files []sysctlFile) []sysctlFile {
	if names, err := r.tree.List("/etc/runlevels/boot"); err == nil && !slices.Contains(names, "sysctl") {
		return nil
	}
	script, _ := r.read("/etc/init.d/sysctl")
	if !strings.Contains(script, "BSD_sysctl") {
		return inDirs(files, "/lib", "/usr/lib", "/etc", sysctlConf, "/run")
	}
	if end, _, err := r.tree.Resolve("/sbin/sysctl"); err == nil && filepath.Base(end) == "busybox" {
		if !r.tree.Exists(sysctlConf) {
			return nil
		}
		return inDirs(files, sysctlConf, "/etc")
	}
	return files
}

// unread adds the lines of files that no program of this host reads, ever.
func (r *reader) unread(files []sysctlFile) {
	for _, f := range files {
		known := slices.ContainsFunc(r.inv.Assignments, func(a Assignment) bool { return a.File == f.path })
		if known || r.sameAsRead(files, f.path) {
			continue
		}
		for _, line := range f.lines {
			if !line.bare {
				r.assign(sysctlRun{by: "sysctl", phase: AtBoot}, line, line.name, "no program reads "+f.path+" at boot here")
			}
		}
	}
}

// sameAsRead reports whether a file is read by another name: /etc/sysctl.conf
// through the link /etc/sysctl.d/99-sysctl.conf.
func (r *reader) sameAsRead(files []sysctlFile, path string) bool {
	end, _, err := r.tree.Resolve(path)
	return err == nil && slices.ContainsFunc(files, func(f sysctlFile) bool {
		other, _, err := r.tree.Resolve(f.path)
		return err == nil && f.path != path && f.hidden == "" && other == end
	})
}

// modulesLoad finds the lines that bring nf_conntrack before the sysctl settings are
// applied: of modules-load.d(5) and the kernel command line with systemd, which reads
// /etc/modules only through a link; of both and /etc/modules with other inits; the
// init scripts of CentOS 6 have their own (sysconfigModules).
func (r *reader) modulesLoad(init initKind) {
	files := r.dropins(".conf", configDirs("modules-load.d")...)
	switch init {
	case initScripts:
		return
	case initSystemd:
		if names, ok := r.commandLine().Value("modules_load"); ok && slices.ContainsFunc(strings.Split(names, ","), bringsConntrack) {
			r.inv.EarlyLoads = append(r.inv.EarlyLoads, tree.Place{File: commandLineFile})
		}
	default:
		files = append(files, dropin{path: "/etc/modules"})
	}
	for _, f := range files {
		if f.hidden != "" {
			continue
		}
		text, _ := r.read(f.path)
		for number, line := range numbered(text) {
			if fields := strings.Fields(line); len(fields) > 0 && bringsConntrack(fields[0]) {
				r.inv.EarlyLoads = append(r.inv.EarlyLoads, tree.Place{File: f.path, Line: number})
			}
		}
	}
}

// bringsConntrack reports whether a module needs nf_conntrack: modprobe(8) loads
// it along. These are the ones of the kernel that people name.
func bringsConntrack(module string) bool {
	module = strings.ReplaceAll(module, "-", "_")
	for _, prefix := range []string{"nf_conntrack", "nf_nat", "ip_conntrack", "ip_nat_", "nf_flow_table", "nft_ct", "nft_nat", "nft_masq", "nft_chain_nat"} {
		if strings.HasPrefix(module, prefix) {
			return true
		}
	}
	return slices.Contains([]string{
		"iptable_nat", "ip6table_nat", "xt_conntrack", "xt_state", "xt_CT", "xt_connlimit", "xt_connmark", "xt_CONNMARK",
		"xt_connbytes", "xt_connlabel", "xt_helper", "xt_nat", "xt_MASQUERADE", "ipt_MASQUERADE", "xt_REDIRECT", "ip_vs", "act_ct", "openvswitch",
		"nft_redir", "nft_connlimit", "nft_flow_offload",
	}, module)
}

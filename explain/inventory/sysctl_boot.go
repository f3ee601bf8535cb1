package inventory

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

// readSysctl reads the sysctl files that the init system applies at boot.
func (r *reader) readSysctl() {
	run := sysctlRun{tool: "sysctl", phase: AtBoot}
	files := r.sysctls
	switch r.init {
	case initSystemd:
		run.tool, run.keepsFirst = "systemd-sysctl", true
		files = withoutSysctlConf(files)
	case initScripts:
		files = inDirs(files, "/usr/lib", "/run", "/etc", sysctlConf)
	case initOpenRC:
		files = r.openRCFiles()
	case initOpenWrt, initUpstart: // /etc/init.d/sysctl, /etc/init/procps.conf
		files = inDirs(files, "/etc", sysctlConf)
	}
	for _, f := range files {
		isApplied := func(g sysctlFile) bool { return g.Path == f.Path && g.HiddenBy == "" }
		if f.HiddenBy != "" && !slices.ContainsFunc(files, isApplied) {
			for _, line := range f.lines {
				r.addSysctl(run, line, line.name, hiddenReason(f.File), tree.Place{})
			}
		}
	}
	lines := linesOf(files)
	r.applySysctl(run, lines)
	r.addKernelOption(lines, "modules_disabled", "0")
	r.addKernelOption(lines, "sysctl_writes_strict", "1")
}

// addKernelOption adds the last line that sets a sysctl of kernel, unless to its default.
func (r *reader) addKernelOption(lines []sysctlLine, name, byDefault string) {
	for _, line := range slices.Backward(lines) {
		if line.name == "kernel/"+name && !line.bare {
			if line.value != byDefault {
				r.addOption("sysctl", "kernel."+name, line.value, line.Place, false)
			}
			return
		}
	}
}

// withoutSysctlConf leaves out /etc/sysctl.conf: systemd-sysctl reads it through a link in
// sysctl.d, or not at all.
func withoutSysctlConf(files []sysctlFile) []sysctlFile {
	return slices.DeleteFunc(slices.Clone(files), func(f sysctlFile) bool { return f.Path == sysctlConf })
}

// inDirs returns the files in the order of an init script that reads one directory after the
// other. It leaves out the files in other directories.
func inDirs(files []sysctlFile, dirs ...string) []sysctlFile {
	var sorted []sysctlFile
	for _, dir := range dirs {
		for _, f := range files {
			if f.Path == dir || filepath.Dir(f.Path) == dir+"/sysctl.d" {
				sorted = append(sorted, f)
			}
		}
	}
	return sorted
}

// openRCFiles returns the files that OpenRC's service sysctl reads. Alpine's script reads one
// directory after the other, with /etc/sysctl.conf before /run. OpenRC's script runs sysctl
// --system or, with BusyBox, reads /etc alone.
func (r *reader) openRCFiles() []sysctlFile {
	if names, err := r.tree.List("/etc/runlevels/boot"); err == nil && !slices.Contains(names, "sysctl") {
		return nil
	}
	script, _ := r.read("/etc/init.d/sysctl")
	if !strings.Contains(script, "BSD_sysctl") {
		return inDirs(r.sysctls, "/lib", "/usr/lib", "/etc", sysctlConf, "/run")
	}
	if end, _, err := r.tree.Resolve("/sbin/sysctl"); err == nil && filepath.Base(end) == "busybox" {
		if !r.tree.Exists(sysctlConf) {
			return nil
		}
		return inDirs(r.sysctls, sysctlConf, "/etc")
	}
	return r.sysctls
}

// readUnusedSysctl reads the sysctl files that no program on this host applies.
func (r *reader) readUnusedSysctl() {
	for _, f := range r.sysctls {
		used := slices.ContainsFunc(r.inv.Assignments, func(a Assignment) bool { return a.File == f.Path })
		if used || r.isLinkedFrom(f.Path) {
			continue
		}
		for _, line := range f.lines {
			if !line.bare {
				run := sysctlRun{tool: "sysctl", phase: AtBoot}
				r.addSysctl(run, line, line.name, "no program reads "+f.Path+" at boot here", tree.Place{})
			}
		}
	}
}

// readMisspeltSysctl reads the files that look like those of sysctl.d, and that no program reads.
func (r *reader) readMisspeltSysctl() {
	read := func(file, why string) {
		if !r.isFile(file) || isBackup(filepath.Base(file)) {
			return
		}
		text, _ := r.read(file)
		lines, _ := parseSysctl(file, text) // what else the file has, nobody reads
		for _, line := range lines {
			if !line.bare {
				r.addSysctl(sysctlRun{tool: "sysctl", phase: AtBoot}, line, line.name, why, tree.Place{})
			}
		}
	}
	for _, dir := range []string{"/etc/sysctl.conf.d", "/etc/sysctld.d", "/etc/sysctl", "/etc/sysctl.d.conf"} {
		names, _ := r.tree.List(dir) // hardly any host has it
		for _, name := range names {
			read(filepath.Join(dir, name), "no program reads "+dir)
		}
	}
	for _, name := range r.list("/etc/sysctl.d") {
		if !strings.HasSuffix(name, ".conf") {
			read(filepath.Join("/etc/sysctl.d", name), "the name of the file does not end in .conf")
		}
	}
}

// isLinkedFrom reports whether a file is read under another name, as /etc/sysctl.conf is through
// the link /etc/sysctl.d/99-sysctl.conf.
func (r *reader) isLinkedFrom(path string) bool {
	end, _, err := r.tree.Resolve(path)
	return err == nil && slices.ContainsFunc(r.sysctls, func(f sysctlFile) bool {
		other, _, err := r.tree.Resolve(f.Path)
		return err == nil && f.Path != path && f.HiddenBy == "" && other == end
	})
}

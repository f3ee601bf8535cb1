package inventory

import (
	"path"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

// maxWords limits how many words of IPTABLES_SYSCTL_LOAD_LIST are applied.
const maxWords = 100

// readIptables reads the configuration of Red Hat's init scripts for iptables and ip6tables, if
// they are installed.
func (r *reader) readIptables() {
	for _, tool := range []string{"iptables", "ip6tables"} {
		config := "/etc/sysconfig/" + tool + "-config"
		if !slices.ContainsFunc(append(iptablesScripts(tool), config), r.tree.Exists) {
			continue
		}
		given := r.shellPairs(config)
		prefix := strings.ToUpper(tool)
		r.addPairOption(tool, config, given, prefix+"_MODULES", "")
		r.addPairOption(tool, config, given, prefix+"_MODULES_UNLOAD", "yes")
		r.addPairOption(tool, config, given, prefix+"_SYSCTL_LOAD_LIST", "")
		list, there := given[prefix+"_SYSCTL_LOAD_LIST"]
		if !there || !r.isEnabled(tool) {
			continue
		}
		lines := r.iptablesLines(tool)
		words := strings.Fields(list.value)
		for _, word := range words[:min(len(words), maxWords)] { // the script runs fgrep for each word
			lacksWord := func(l sysctlLine) bool { return !strings.Contains(l.text, word) }
			matching := slices.DeleteFunc(slices.Clone(lines), lacksWord)
			r.applySysctl(sysctlRun{tool: tool, phase: AtFirewallStart}, matching)
		}
	}
}

// iptablesLines returns the lines from which the init script picks those that it passes to sysctl
// (*_SYSCTL_LOAD_LIST): of /etc/sysctl.conf, or of /etc/sysctl.d/*.conf if the script names these.
func (r *reader) iptablesLines(tool string) []sysctlLine {
	paths := []string{sysctlConf}
	for _, script := range iptablesScripts(tool) {
		if text, ok := r.read(script); ok {
			if strings.Contains(text, "/etc/sysctl.d/") && !strings.Contains(text, sysctlConf) {
				paths = nil
				for _, f := range r.sysctls { // in the order of their names, as the shell expands *
					if path.Dir(f.Path) == "/etc/sysctl.d" {
						paths = append(paths, f.Path)
					}
				}
			}
			break
		}
	}
	var lines []sysctlLine
	for _, file := range paths {
		lines = append(lines, r.linesIn(file)...)
	}
	return lines
}

func iptablesScripts(tool string) []string {
	return []string{"/etc/rc.d/init.d/" + tool, "/usr/libexec/iptables/" + tool + ".init"}
}

// readFirewalld reads the options of firewalld.conf(5) that affect the module.
func (r *reader) readFirewalld() {
	const file = "/etc/firewalld/firewalld.conf"
	if !r.tree.Exists(file) {
		return
	}
	given := map[string]pair{}
	for _, p := range r.iniPairs(file) {
		given[p.name] = p
	}
	onExit := "yes"
	if p, there := given["CleanupOnExit"]; there {
		onExit = p.value
	}
	r.addPairOption("firewalld", file, given, "CleanupOnExit", "yes")
	r.addPairOption("firewalld", file, given, "CleanupModulesOnExit", r.firewalldUnloads(onExit))
	// Since 2.0 a stop flushes iptables only with the backend iptables, or with direct rules.
	if core, _ := r.firewalldFile("core/fw.py"); strings.Contains(core, "def may_skip_flush_direct_backends") {
		r.addPairOption("firewalld", file, given, "FirewallBackend", "nftables")
	}
	r.addPairOption("firewalld", file, given, "AutomaticHelpers", "system")
	// firewalld before 1.0 writes nf_conntrack_helper, unless the value is "system".
	p := given["AutomaticHelpers"]
	if value := map[string]string{"yes": "1", "no": "0"}[p.value]; value != "" && r.isEnabled("firewalld") {
		r.addAssignment(Assignment{
			Place: p.Place, Name: "helper", Key: p.name, Value: value, Tool: "firewalld", Phase: AtFirewallStart,
		})
	}
}

// firewalldUnloads returns the default of CleanupModulesOnExit: "no" since 1.0. Versions before the
// option unloaded the modules if CleanupOnExit was set. firewalld's Python module shows the version.
func (r *reader) firewalldUnloads(onExit string) string {
	text, found := r.firewalldFile("config/__init__.py")
	_, value, known := strings.Cut(text, "FALLBACK_CLEANUP_MODULES_ON_EXIT = ")
	switch {
	case found && !known:
		return onExit
	case strings.HasPrefix(value, "True"):
		return "yes"
	}
	return "no"
}

// firewalldFile returns the text of a file of firewalld's Python package.
func (r *reader) firewalldFile(name string) (text string, found bool) {
	for _, lib := range []string{"/usr/lib", "/usr/lib/python3"} {
		for _, python := range append(r.list(lib), "") {
			for _, packages := range []string{"site-packages", "dist-packages"} {
				file := path.Join(lib, python, packages, "firewall", name)
				if (strings.HasPrefix(python, "python") || python == "") && r.tree.Exists(file) {
					text, _ = r.read(file)
					return text, true
				}
			}
		}
	}
	return "", false
}

// readUFW reads the sysctl file and the script that ufw applies when it starts.
func (r *reader) readUFW() {
	const config, conf = "/etc/default/ufw", "/etc/ufw/ufw.conf"
	given := r.shellPairs(config)
	if given == nil {
		return
	}
	r.addPairOption("ufw", config, given, "IPT_MODULES", "")
	enabled, there := r.shellPairs(conf)["ENABLED"]
	r.addPairOption("ufw", conf, map[string]pair{"ENABLED": enabled}, "ENABLED", "no")
	noEffect := ""
	switch {
	case !there || !strings.EqualFold(enabled.value, "yes"):
		noEffect = "ufw is not enabled in " + conf
	case !r.isEnabled("ufw"):
		noEffect = "ufw.service is not enabled"
	}
	defer r.readUFWScript("/etc/ufw/after.init", noEffect)
	r.readUFWScript("/etc/ufw/before.init", noEffect)
	list, there := given["IPT_SYSCTL"]
	if !there || !strings.HasPrefix(list.value, "/") {
		return
	}
	for _, line := range r.linesIn(list.value) {
		if !line.bare {
			r.addSysctl(sysctlRun{tool: "ufw", phase: AtFirewallStart}, line, line.name, noEffect, tree.Place{})
		}
	}
}

// readUFWScript reads one of the scripts that ufw-init runs with "start", before or after it loads its
// rules and sysctls.
func (r *reader) readUFWScript(file, noEffect string) {
	text, ok := r.read(file)
	if !ok {
		return
	}
	if !r.isExecutable(file) {
		noEffect = notExecutable
	}
	r.addScript(script{
		Place: tree.Place{File: file}, tool: "ufw", phase: AtFirewallStart, noEffect: noEffect, args: []string{"start"},
	}, text)
}

// readShorewall reads the options of shorewall.conf(5) that affect helpers, and the helper rules of
// shorewall-conntrack(5).
func (r *reader) readShorewall() {
	for _, tool := range []string{"shorewall", "shorewall6"} {
		config := "/etc/" + tool + "/" + tool + ".conf"
		given := r.shellPairs(config)
		if given == nil {
			continue
		}
		r.addPairOption(tool, config, given, "STARTUP_ENABLED", "No")
		r.addPairOption(tool, config, given, "AUTOHELPERS", "Yes")
		r.addPairOption(tool, config, given, "HELPERS", "")
		r.addPairOption(tool, config, given, "LOAD_HELPERS_ONLY", "Yes")
		file := "/etc/" + tool + "/conntrack"
		text, _ := r.read(file)
		for number, line := range numbered(text) {
			line = strings.TrimSpace(line)
			if strings.Contains(line, ":helper:") && !strings.HasPrefix(line, "#") {
				r.addOption(tool, "conntrack", line, tree.Place{File: file, Line: number}, false)
			}
		}
	}
}

package inventory

import (
	"path"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

// maxWords is how many words of IPTABLES_SYSCTL_LOAD_LIST are looked at.
const maxWords = 100

// iptables reads the configuration of Red Hat's init scripts for iptables and
// ip6tables, where they are installed.
func (r *reader) iptables(files []sysctlFile) {
	for _, tool := range []string{"iptables", "ip6tables"} {
		config := "/etc/sysconfig/" + tool + "-config"
		installed := slices.ContainsFunc(append(iptablesScripts(tool), config), r.tree.Exists)
		if !installed {
			continue
		}
		given := r.shellPairs(config)
		prefix := strings.ToUpper(tool)
		for name, value := range map[string]string{"_MODULES_UNLOAD": "yes", "_MODULES": "", "_SYSCTL_LOAD_LIST": ""} {
			r.fromPairs(tool, config, given, prefix+name, value)
		}
		list, there := given[prefix+"_SYSCTL_LOAD_LIST"]
		if !there || !r.enabled(tool) {
			continue
		}
		lines := r.iptablesLines(tool, files)
		words := strings.Fields(list.value)
		for _, word := range words[:min(len(words), maxWords)] {
			var matching []sysctlLine
			for _, l := range lines {
				if strings.Contains(l.text, word) {
					matching = append(matching, l.sysctlLine)
				}
			}
			r.apply(sysctlRun{by: tool, phase: AtFirewallStart}, matching)
		}
	}
	slices.SortStableFunc(r.inv.ToolOptions, func(a, b ToolOption) int { return strings.Compare(a.Tool+" "+a.Name, b.Tool+" "+b.Name) })
}

// textLine is a line of a sysctl file, and its text as fgrep sees it.
type textLine struct {
	sysctlLine
	text string
}

// iptablesLines are the lines that the script picks from for *_SYSCTL_LOAD_LIST, and
// hands to sysctl: of /etc/sysctl.conf, or of /etc/sysctl.d/*.conf where it is those
// that the script names.
func (r *reader) iptablesLines(tool string, files []sysctlFile) []textLine {
	paths := []string{sysctlConf}
	for _, script := range iptablesScripts(tool) {
		if text, ok := r.read(script); ok {
			if strings.Contains(text, "/etc/sysctl.d/") && !strings.Contains(text, sysctlConf) {
				paths = nil
				for _, f := range files { // in the order of their names, as the shell has them
					if path.Dir(f.path) == "/etc/sysctl.d" {
						paths = append(paths, f.path)
					}
				}
			}
			break
		}
	}
	var found []textLine
	for _, file := range paths {
		text, _ := r.read(file)
		texts := strings.Split(text, "\n")
		for _, l := range r.linesIn(file, files) {
			if l.Line <= len(texts) {
				found = append(found, textLine{l, texts[l.Line-1]})
			}
		}
	}
	return found
}

func iptablesScripts(tool string) []string {
	return []string{"/etc/rc.d/init.d/" + tool, "/usr/libexec/iptables/" + tool + ".init"}
}

// fromPairs adds a switch of a file of assignments, or the tool's default.
func (r *reader) fromPairs(tool, file string, given map[string]pair, name, otherwise string) {
	if p, there := given[name]; there {
		r.setSwitch(tool, name, p.value, p.Place, false)
		return
	}
	r.setSwitch(tool, name, otherwise, tree.Place{File: file}, true)
}

// firewalld reads what decides about the module in firewalld.conf(5).
func (r *reader) firewalld() {
	const file = "/etc/firewalld/firewalld.conf"
	if !r.tree.Exists(file) {
		return
	}
	given := map[string]pair{}
	for _, p := range r.ini(file, "=") {
		given[p.name] = p
	}
	onExit := "yes"
	if p, there := given["CleanupOnExit"]; there {
		onExit = p.value
	}
	r.fromPairs("firewalld", file, given, "CleanupOnExit", "yes")
	r.fromPairs("firewalld", file, given, "CleanupModulesOnExit", r.firewalldUnloads(onExit))
	r.fromPairs("firewalld", file, given, "AutomaticHelpers", "system")
	// firewalld before 1.0 writes nf_conntrack_helper, unless the value is "system".
	if p, there := given["AutomaticHelpers"]; there && (p.value == "yes" || p.value == "no") && r.enabled("firewalld") {
		value := map[string]string{"yes": "1", "no": "0"}[p.value]
		r.add(Assignment{Place: p.Place, Name: "helper", Key: p.name, Value: value, Tool: "firewalld", Phase: AtFirewallStart})
	}
}

// firewalldUnloads is the default of CleanupModulesOnExit: "no" since 1.0. Before
// the option was there, CleanupOnExit unloaded the modules too. The version on the
// host shows in its Python module.
func (r *reader) firewalldUnloads(onExit string) string {
	for _, lib := range []string{"/usr/lib", "/usr/lib/python3"} {
		for _, python := range append(r.list(lib), "") {
			for _, packages := range []string{"site-packages", "dist-packages"} {
				config := path.Join(lib, python, packages, "firewall/config/__init__.py")
				if !strings.HasPrefix(python, "python") && python != "" || !r.tree.Exists(config) {
					continue
				}
				text, _ := r.read(config)
				_, value, known := strings.Cut(text, "FALLBACK_CLEANUP_MODULES_ON_EXIT = ")
				switch {
				case !known:
					return onExit
				case strings.HasPrefix(value, "True"):
					return "yes"
				}
				return "no"
			}
		}
	}
	return "no"
}

// ufw reads the sysctl file that ufw applies behind its rules.
func (r *reader) ufw() {
	const config, conf = "/etc/default/ufw", "/etc/ufw/ufw.conf"
	given := r.shellPairs(config)
	if given == nil {
		return
	}
	r.fromPairs("ufw", config, given, "IPT_MODULES", "")
	enabled, there := r.shellPairs(conf)["ENABLED"]
	r.fromPairs("ufw", conf, map[string]pair{"ENABLED": enabled}, "ENABLED", "no")
	lost := ""
	switch {
	case !there || !strings.EqualFold(enabled.value, "yes"):
		lost = "ufw is not enabled in " + conf
	case !r.enabled("ufw"):
		lost = "ufw.service is not enabled"
	}
	if text, ok := r.read("/etc/ufw/before.init"); ok {
		s := script{Place: tree.Place{File: "/etc/ufw/before.init"}, by: "ufw", phase: AtFirewallStart, lost: lost}
		if !r.executable(s.File) {
			s.lost = notExecutable
		}
		r.shell(s, text, nil)
	}
	list, there := given["IPT_SYSCTL"]
	if !there || !strings.HasPrefix(list.value, "/") {
		return
	}
	for _, line := range r.linesIn(list.value, nil) {
		if !line.bare {
			r.assign(sysctlRun{by: "ufw", phase: AtFirewallStart}, line, line.name, lost)
		}
	}
}

// shorewall reads what decides about helpers in shorewall.conf(5), and the helper
// rules of shorewall-conntrack(5).
func (r *reader) shorewall() {
	for _, tool := range []string{"shorewall", "shorewall6"} {
		config := "/etc/" + tool + "/" + tool + ".conf"
		given := r.shellPairs(config)
		if given == nil {
			continue
		}
		for _, option := range [][2]string{{"STARTUP_ENABLED", "No"}, {"AUTOHELPERS", "Yes"}, {"HELPERS", ""}, {"LOAD_HELPERS_ONLY", "Yes"}} {
			r.fromPairs(tool, config, given, option[0], option[1])
		}
		file := "/etc/" + tool + "/conntrack"
		text, _ := r.read(file)
		for number, line := range numbered(text) {
			line = strings.TrimSpace(line)
			if strings.Contains(line, ":helper:") && !strings.HasPrefix(line, "#") {
				r.setSwitch(tool, "conntrack", line, tree.Place{File: file, Line: number}, false)
			}
		}
	}
}

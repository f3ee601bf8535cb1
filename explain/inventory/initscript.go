package inventory

import (
	"path"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

// readLocalD reads the scripts of OpenRC's service local.
func (r *reader) readLocalD() {
	s := script{tool: "local.d", phase: AtServiceStart, args: []string{}}
	switch {
	case r.init != initOpenRC:
		s.noEffect = "only OpenRC runs /etc/local.d"
	case !r.isEnabled("local"):
		s.noEffect = "the service local is not enabled"
	}
	for _, name := range r.list("/etc/local.d") {
		switch file := path.Join("/etc/local.d", name); path.Ext(name) {
		case ".start":
			r.addScriptAt(file, s)
		case ".stop":
			r.markUnderstood(tree.Place{File: file})
		}
	}
}

// knownScripts are init scripts of programs that other readers read, or that set no value of
// nf_conntrack.
var knownScripts = []string{
	"arno-iptables-firewall", "boot", "ctkeeper", "firewall", "firewalld", "ip6tables", "iptables", "kmod", "modules",
	"network", "networking", "nftables", "procps", "rc.local", "shorewall", "shorewall6", "sysctl", "ufw", "udev",
	"functions", "halt", "killall", "skeleton", "README",
}

// readInitScripts reads the scripts in /etc/init.d that the administrator made.
func (r *reader) readInitScripts() {
	started := map[string]bool{}
	for _, dir := range []string{
		"/etc/rc2.d", "/etc/rc3.d", "/etc/rc5.d", "/etc/rcS.d", "/etc/rc.d/rc3.d", "/etc/rc.d/rc5.d", "/etc/rc.d",
	} {
		for _, name := range r.list(dir) {
			if len(name) > 3 && name[0] == 'S' && strings.Trim(name[1:3], "0123456789") == "" {
				started[name[3:]] = true
			}
		}
	}
	for _, level := range []string{"sysinit", "boot", "default"} {
		for _, name := range r.list("/etc/runlevels/" + level) {
			started[name] = true
		}
	}
	dir := "/etc/init.d"
	if !r.tree.Exists(dir) {
		dir = "/etc/rc.d/init.d"
	}
	for _, name := range r.list(dir) {
		hasUnit := r.init == initSystemd && slices.ContainsFunc(unitDirs(), func(units string) bool {
			return !r.tree.Gone(path.Join(units, name+".service")) // systemd-sysv-generator(8) leaves it out
		})
		if slices.Contains(knownScripts, name) || hasUnit {
			continue
		}
		s := script{tool: name, phase: AtServiceStart, args: []string{"start"}}
		file := path.Join(dir, name)
		text, _ := r.scriptFile(file)
		first, _, _ := strings.Cut(text, "\n")
		if slices.ContainsFunc([]string{"openrc-run", "runscript", "rc.common"}, func(runner string) bool {
			return strings.Contains(first, runner)
		}) {
			s.function = "start"
		}
		if !started[name] {
			s.noEffect = "nothing enables " + file
		}
		r.addScriptAt(file, s)
	}
}

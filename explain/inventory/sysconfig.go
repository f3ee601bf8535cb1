package inventory

import (
	"path"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/distro"
	"github.com/ctkeeper/ctkeeper/host/pattern"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

const notExecutable = "the file is not executable: nothing runs it"

// readSysconfigModules reads /etc/sysconfig/modules/*.modules, the scripts that Red Hat's init
// scripts run at boot: rc.sysinit of CentOS 6 before sysctl, the service loadmodules of later ones
// in no order to it.
func (r *reader) readSysconfigModules() {
	runs := r.init == initScripts || slices.ContainsFunc([]string{
		"/usr/lib/systemd/rhel-loadmodules", "/lib/systemd/rhel-loadmodules",
		"/usr/lib/systemd/system/rhel-loadmodules.service", "/usr/lib/systemd/system/loadmodules.service",
	}, r.tree.Exists)
	phase := AfterModuleLoad
	if r.init == initScripts {
		phase = AtModuleLoad
	}
	for _, f := range r.dropins(".modules", "/etc/sysconfig/modules") {
		s := script{Place: tree.Place{File: f.Path}, tool: "sysconfig", phase: phase}
		switch {
		case !runs:
			s.noEffect = "nothing on this host runs /etc/sysconfig/modules"
		case !r.isExecutable(f.Path):
			s.noEffect = notExecutable
		}
		text, _ := r.read(f.Path)
		loads := r.addScript(s, text)
		r.addDeadScript(s, text)
		if r.init == initScripts {
			r.inv.EarlyLoads = append(r.inv.EarlyLoads, loads...)
		}
	}
}

// topLevelExit is an exit of a script that stands in no block.
var topLevelExit = pattern.New(`(?m)^exit([ ;].*)?$`)

// readRcLocal reads rc.local under both of its names, or once if one is a link to the other.
func (r *reader) readRcLocal() {
	seen := map[string]bool{}
	for _, file := range []string{"/etc/rc.d/rc.local", "/etc/rc.local"} {
		end, _, err := r.tree.Resolve(file)
		if err == nil && seen[end] {
			continue
		}
		seen[end] = true
		text, ok := r.read(file)
		if !ok {
			continue
		}
		s := script{Place: tree.Place{File: file}, tool: "rc.local", phase: AtServiceStart, args: []string{"start"}}
		isRedHat := file == "/etc/rc.d/rc.local"
		switch {
		case isRedHat && slices.Contains([]string{"debian", "ubuntu"}, distro.Read(r.tree).ID):
			s.noEffect = "this distribution runs /etc/rc.local"
		case !r.isExecutable(file) && r.init != initOpenWrt: // whose init.d/done runs "sh /etc/rc.local"
			s.noEffect = notExecutable
		case r.init == initSystemd && !strings.HasPrefix(text, "#!"): // execve(2) needs it, a shell does not
			s.noEffect = "the file does not begin with #!: systemd cannot run it"
		}
		r.addScript(s, text)
		if at := topLevelExit.FindStringIndex(text); at != nil && s.noEffect == "" {
			rest := script{Place: s.Place, noEffect: "the script ends before it: nothing runs it"}
			r.addDeadScript(rest, strings.Repeat("\n", strings.Count(text[:at[1]], "\n"))+text[at[1]:])
		}
		r.addDeadScript(s, text)
	}
}

// readHooks reads the scripts that are not executable in the directories whose scripts are run one by one.
func (r *reader) readHooks() {
	for _, dir := range []string{
		"/etc/local.d", "/etc/network/if-pre-up.d", "/etc/network/if-up.d", "/etc/NetworkManager/dispatcher.d",
		"/etc/networkd-dispatcher/routable.d", "/etc/cron.hourly", "/etc/cron.daily", "/etc/cron.weekly",
	} {
		names, _ := r.tree.List(dir)
		for _, name := range names {
			file := path.Join(dir, name)
			if !r.isFile(file) || r.isExecutable(file) || isBackup(name) {
				continue
			}
			text, _ := r.read(file)
			r.addDeadScript(script{Place: tree.Place{File: file}, noEffect: notExecutable}, text)
		}
	}
}

// addDeadScript adds the lines about nf_conntrack of a script that nothing runs.
func (r *reader) addDeadScript(s script, text string) {
	if s.noEffect == "" {
		return
	}
	for number, line := range numbered(text) {
		line = strings.TrimSpace(line)
		isAbout := strings.Contains(line, "conntrack") || strings.HasPrefix(line, "sysctl ")
		if isAbout && !strings.HasPrefix(line, "#") {
			at := tree.Place{File: s.File, Line: number}
			r.addDead(DeadLine{Place: at, Why: s.noEffect, Loads: strings.Contains(line, "modprobe")})
		}
	}
}

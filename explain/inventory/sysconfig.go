package inventory

import (
	"slices"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

const notExecutable = "the file is not executable: nothing runs it"

// sysconfigModules reads /etc/sysconfig/modules/*.modules, the scripts that Red Hat's
// init scripts run at boot: rc.sysinit of CentOS 6 before sysctl, the service
// loadmodules of later ones in no order to it.
func (r *reader) sysconfigModules(init initKind) {
	runs := init == initScripts || slices.ContainsFunc([]string{
		"/usr/lib/systemd/rhel-loadmodules", "/lib/systemd/rhel-loadmodules",
		"/usr/lib/systemd/system/rhel-loadmodules.service", "/usr/lib/systemd/system/loadmodules.service",
	}, r.tree.Exists)
	phase := AfterModuleLoad
	if init == initScripts {
		phase = AtModuleLoad
	}
	for _, f := range r.dropins(".modules", "/etc/sysconfig/modules") {
		s := script{Place: tree.Place{File: f.path}, by: "sysconfig", phase: phase}
		switch {
		case !runs:
			s.lost = "nothing on this host runs /etc/sysconfig/modules"
		case !r.executable(f.path):
			s.lost = notExecutable
		}
		text, _ := r.read(f.path)
		loads := r.shell(s, text, nil)
		if init == initScripts {
			r.inv.EarlyLoads = append(r.inv.EarlyLoads, loads...)
		}
	}
}

// rcLocal reads rc.local, by whichever of its two names.
func (r *reader) rcLocal(files []sysctlFile) {
	seen := map[string]bool{}
	for _, path := range []string{"/etc/rc.d/rc.local", "/etc/rc.local"} {
		end, _, err := r.tree.Resolve(path)
		if err == nil && seen[end] {
			continue
		}
		seen[end] = true
		text, ok := r.read(path)
		if !ok {
			continue
		}
		s := script{Place: tree.Place{File: path}, by: "rc.local", phase: AtServiceStart}
		if !r.executable(path) {
			s.lost = notExecutable
		}
		r.shell(s, text, files)
	}
}

package inventory

import (
	"path"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/dropin"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

// readDispatchers reads the scripts that NetworkManager and networkd-dispatcher run when an interface
// comes up (NetworkManager-dispatcher(8), networkd-dispatcher(8)).
func (r *reader) readDispatchers() {
	s := script{tool: "NetworkManager", phase: OnNetworkChange, uncertain: r.serviceDoubt("NetworkManager")}
	for _, sub := range []string{"pre-up.d", "", "no-wait.d"} {
		s.args = []string{anInterface, "up"} // an interface, and what it does
		if sub == "pre-up.d" {
			s.args[1] = "pre-up"
		}
		r.addDispatched(s, sub, "/etc/NetworkManager/dispatcher.d", "/usr/lib/NetworkManager/dispatcher.d")
	}
	s = script{tool: "networkd-dispatcher", phase: OnNetworkChange, uncertain: r.serviceDoubt("networkd-dispatcher")}
	for _, sub := range []string{"routable.d", "carrier.d", "configured.d", "configuring.d", "degraded.d"} {
		r.addDispatched(s, sub, "/etc/networkd-dispatcher", "/usr/lib/networkd-dispatcher")
	}
}

// serviceDoubt returns why it is not known whether a service runs, or "".
func (r *reader) serviceDoubt(service string) string {
	if r.isInstalled(service) && r.isEnabled(service) {
		return ""
	}
	return "nothing shows that " + service + " runs here"
}

// addDispatched adds the scripts in a directory below others. NetworkManager runs only those that the
// group and others cannot write.
func (r *reader) addDispatched(s script, sub string, dirs ...string) {
	for i, dir := range dirs {
		dirs[i] = path.Join(dir, sub)
	}
	files, _ := dropin.List(r.tree, dirs, func(file string) bool {
		name := path.Base(file)
		isBackup := slices.ContainsFunc([]string{"~", ".bak", ".rpmsave", ".rpmnew", ".rpmorig", ".swp"},
			func(end string) bool { return strings.HasSuffix(name, end) })
		return !isBackup && !strings.HasPrefix(name, ".")
	})
	for _, f := range files {
		each := s
		each.noEffect = hiddenReason(f)
		if info, err := r.tree.Stat(f.Path); err == nil && info.Mode()&0o022 != 0 && s.tool == "NetworkManager" {
			each.noEffect = "NetworkManager runs no script that others can write"
		}
		if !f.Masked {
			r.addScriptAt(f.Path, each)
		}
	}
}

// readIfupdown reads the scripts and commands of interfaces(5).
func (r *reader) readIfupdown() {
	const file = "/etc/network/interfaces"
	doubt := ""
	text, found := r.scriptFile(file)
	if !found || !slices.ContainsFunc([]string{"/sbin/ifup", "/usr/sbin/ifup"}, r.tree.Exists) {
		doubt = "nothing shows that ifupdown runs here"
	}
	s := script{
		tool: "ifupdown", phase: OnNetworkChange, uncertain: doubt, args: []string{},
		vars: map[string]string{"MODE": "start", "PHASE": "pre-up", "IFACE": anInterface},
	}
	r.addScriptDir("/etc/network/if-pre-up.d", s)
	s.vars["PHASE"] = "post-up"
	r.addScriptDir("/etc/network/if-up.d", s)
	files, texts := []string{file}, []string{text}
	for _, name := range r.list(file + ".d") {
		if each, ok := r.scriptFile(path.Join(file+".d", name)); ok && strings.Contains(text, "interfaces.d") {
			files, texts = append(files, path.Join(file+".d", name)), append(texts, each)
		}
	}
	automatic := map[string]bool{}
	for _, text := range texts {
		for _, line := range joinedLines(text) {
			words := strings.Fields(line)
			if len(words) > 1 && (words[0] == "auto" || strings.HasPrefix(words[0], "allow-")) {
				for _, name := range words[1:] {
					automatic[name] = true
				}
			}
		}
	}
	for i, text := range texts {
		r.addInterfaces(files[i], text, automatic, doubt)
	}
}

// addInterfaces adds the commands in one file.
func (r *reader) addInterfaces(file, text string, automatic map[string]bool, doubt string) {
	s := script{oneLine: true, tool: "ifupdown", phase: OnNetworkChange, args: []string{}}
	for number, line := range joinedLines(text) {
		word, rest := cutField(line)
		switch word {
		case "iface":
			name, _ := cutField(rest)
			s.uncertain = doubt
			if !automatic[name] && doubt == "" {
				s.uncertain = "nothing brings " + name + " up at boot"
			}
		case "up", "post-up", "pre-up":
			s.Place = tree.Place{File: file, Line: number}
			r.addScript(s, rest)
		case "down", "post-down", "pre-down":
			r.markUnderstood(tree.Place{File: file, Line: number})
		}
	}
}

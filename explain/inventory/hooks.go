package inventory

import (
	"path"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

// readFirewallHooks reads the scripts that firewalls run when they start and that administrators write.
func (r *reader) readFirewallHooks() {
	// csf.pl runs them before and after its rules; readme.txt asks for the x bit.
	s := script{tool: "csf", phase: AtFirewallStart, uncertain: r.serviceDoubt("csf"), args: []string{}}
	for _, name := range []string{"csfpre.sh", "csfpost.sh"} {
		r.addScriptAt("/usr/local/csf/bin/"+name, s)
		r.addScriptAt("/etc/csf/"+name, s)
	}
	// The compiler copies them into the script that it makes (shorewall-extensions(5)).
	for _, tool := range []string{"shorewall", "shorewall6"} {
		s := script{tool: tool, phase: AtFirewallStart, uncertain: r.serviceDoubt(tool), args: []string{}}
		enabled, given := r.shellPairs("/etc/" + tool + "/" + tool + ".conf")["STARTUP_ENABLED"]
		if given && !isTrue(enabled.value) {
			s.noEffect = enabled.Place.String() + " has STARTUP_ENABLED=" + enabled.value
		}
		for _, name := range []string{"init", "start", "started"} {
			s.Place = tree.Place{File: "/etc/" + tool + "/" + name}
			if text, found := r.scriptFile(s.File); found && mightSet(text) {
				r.addScript(s, text)
			}
		}
	}
}

// readWireGuard reads the commands of wg-quick(8) in the files of its interfaces.
func (r *reader) readWireGuard() {
	for _, name := range r.list("/etc/wireguard") {
		device, isConfig := strings.CutSuffix(name, ".conf")
		file := path.Join("/etc/wireguard", name)
		text, found := r.scriptFile(file)
		if !isConfig || !found || !mightSet(text) {
			continue
		}
		s := script{oneLine: true, tool: "wg-quick", phase: AtServiceStart, args: []string{}}
		if service := "wg-quick@" + device; !r.isEnabled(service) {
			s.uncertain = "nothing enables " + service
		}
		for number, line := range numbered(text) {
			key, command, _ := strings.Cut(line, "=")
			s.Place = tree.Place{File: file, Line: number}
			switch strings.ToLower(strings.TrimSpace(key)) {
			case "preup", "postup":
				r.addScript(s, strings.ReplaceAll(command, "%i", device))
			case "predown", "postdown":
				r.markUnderstood(s.Place)
			}
		}
	}
}

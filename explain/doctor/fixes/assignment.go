package fixes

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

// RemoveAssignment returns the commands that stop an assignment, or a note where no command can. All
// the assignments of its file for which the function is true are removed together, so that the command
// is the same for each of them.
func RemoveAssignment(
	h *picture.Host, a inventory.Assignment, with func(inventory.Assignment) bool,
) (fix []string, note string) {
	note = "Remove it from " + a.Place.String() + "."
	switch {
	case a.Tool == picture.KubeProxy:
		return nil, "kube-proxy does not set the limit where its configuration has conntrack.maxPerCore: 0, nor a " +
			"timeout that is 0s. " +
			"Set these in the ConfigMap kube-proxy of kube-system, and restart its pods."
	case a.Tool == "k3s" || a.Tool == "rke2":
		return nil, a.Tool + " does not set the limit with --kube-proxy-arg=conntrack-max-per-core=0."
	case a.Tool == "pve-firewall" && a.Line == 0:
		return nil, "It is a default of pve-firewall, which sets it while the firewall is on: set the option in " +
			a.File + "."
	case a.Tool == "kernel":
		return RemoveKernelArgument(h, a.Key+"="+a.Value), "It takes effect with the next boot."
	case a.Tool == "tuned" && !IsLineBased(a.File):
		return nil, "Remove it from a copy of the profile in /etc/tuned, and make the copy the active profile."
	case !IsLineBased(a.File):
		return nil, note
	}
	var scripts []string
	for _, b := range h.Inventory.Assignments {
		if b.File == a.File && (b == a || with(b)) {
			scripts = append(scripts, removeScript(h, b, with))
		}
	}
	scripts = slices.DeleteFunc(finding.Unique(scripts), func(script string) bool { return script == "" })
	if len(scripts) == 0 {
		return nil, note
	}
	return []string{Edit(h, a.File, scripts...)}, ""
}

// IsLineBased reports whether a single line of a file can be removed. In a script another line can
// depend on it.
func IsLineBased(file string) bool {
	for _, dir := range []string{"/sysctl.d/", "/modprobe.d/", "/udev/rules.d/"} {
		if strings.Contains(file, dir) {
			return true
		}
	}
	name := path.Base(file)
	return name == "sysctl.conf" || name == "modprobe.conf" || strings.HasPrefix(file, "/etc/tuned/")
}

// removeScript returns the sed(1) script that removes an assignment from its line. The line becomes a
// comment or, where it assigns other module parameters as well, loses a word. The script can run twice.
// It is "" where the line is not as the inventory read it.
func removeScript(h *picture.Host, a inventory.Assignment, with func(inventory.Assignment) bool) string {
	text := h.Line(a.Place)
	if text == "" || strings.HasSuffix(text, `\`) || isContinuation(h, a.Place) || !strings.Contains(text, a.Key) {
		return ""
	}
	line := strconv.Itoa(a.Line)
	if !assignsMore(h, a.Place, text, func(b inventory.Assignment) bool { return b == a || with(b) }) {
		return line + "s/^[^#]/# &/"
	}
	if !a.Parameter {
		return ""
	}
	word := Literal(a.Key + "=" + a.Value)
	return fmt.Sprintf("%ss/[[:blank:]]%s[[:blank:]]/ /;%ss/[[:blank:]]%s$//", line, word, line, word)
}

// assignsMore reports whether a line assigns more than what the function is true for.
func assignsMore(h *picture.Host, p tree.Place, text string, is func(inventory.Assignment) bool) bool {
	more, parameters := false, 0
	for _, b := range h.Inventory.Assignments {
		if b.Place == p {
			more = more || !is(b)
			if b.Parameter {
				parameters++
			}
		}
	}
	// "options nf_conntrack", and parameters that the inventory does not have.
	return more || parameters > 0 && len(strings.Fields(text)) > 2+parameters
}

// isContinuation reports whether the line before continues on this one.
func isContinuation(h *picture.Host, p tree.Place) bool {
	return strings.HasSuffix(h.Line(tree.Place{File: p.File, Line: p.Line - 1}), `\`)
}

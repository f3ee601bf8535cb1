package fixes

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

// RemoveAssignment gives the commands that keep an assignment from being made, and what to
// know where no command can. All the lines of one file for which with holds are
// taken together, so that the command is the same for each of them.
func RemoveAssignment(h *picture.Host, a inventory.Assignment, with func(inventory.Assignment) bool) (fix []string, note string) {
	switch a.Tool {
	case "kube-proxy":
		return nil, "kube-proxy leaves the limit as it is where its configuration has conntrack.maxPerCore: 0, the timeouts where they are 0s: set these in the ConfigMap kube-proxy of kube-system, and restart its pods."
	case "k3s":
		return nil, "k3s leaves the limit as it is with --kube-proxy-arg=conntrack-max-per-core=0."
	case "kernel":
		_, fix = h.Distro.RemoveKernelArgument(h.Tree, a.Key+"="+a.Value)
		return fix, "It holds from the next boot on."
	}
	if by := "Take it out of " + a.Place.String() + "."; !IsLineBased(a.File) {
		if a.Tool == "tuned" {
			by = "Take it out of a copy of the profile in /etc/tuned, and make that the active profile."
		}
		return nil, by
	}
	var scripts []string
	for _, b := range h.Inventory.Assignments {
		if b.File != a.File || b != a && !with(b) {
			continue
		}
		if script := removeScript(h, b, with); script != "" && !slices.Contains(scripts, script) {
			scripts = append(scripts, script)
		}
	}
	if len(scripts) == 0 {
		return nil, "Take it out of " + a.Place.String() + "."
	}
	return []string{Edit(h.Tree, a.File, strings.Join(scripts, ";"))}, ""
}

// IsLineBased reports whether each line of a file stands for itself, so that it can
// be taken out: of a script, nobody knows what else a line does.
func IsLineBased(file string) bool {
	for _, dir := range []string{"/sysctl.d/", "/modprobe.d/", "/udev/rules.d/"} {
		if strings.Contains(file, dir) {
			return true
		}
	}
	name := path.Base(file)
	return name == "sysctl.conf" || name == "modprobe.conf" || strings.HasPrefix(file, "/etc/tuned/")
}

// removeScript is the sed(1) script that makes a line say nothing of an assignment:
// it becomes a comment or, where it gives other module parameters too, loses a
// word. It can run twice. Empty where the line is not what it should be.
func removeScript(h *picture.Host, a inventory.Assignment, with func(inventory.Assignment) bool) string {
	text := h.Line(a.Place)
	if text == "" || strings.HasSuffix(text, `\`) || isContinuation(h, a.Place) || !strings.Contains(text, a.Key) {
		return ""
	}
	line := strconv.Itoa(a.Line)
	if !hasMore(h, a.Place, text, func(b inventory.Assignment) bool { return b == a || with(b) }) {
		return line + "s/^[^#]/# &/"
	}
	if !a.Parameter {
		return ""
	}
	word := Literal(a.Key + "=" + a.Value)
	return fmt.Sprintf("%ss/[[:blank:]]%s[[:blank:]]/ /;%ss/[[:blank:]]%s$//", line, word, line, word)
}

// hasMore reports whether a line says more than the assignments for which of holds.
func hasMore(h *picture.Host, p tree.Place, text string, of func(inventory.Assignment) bool) bool {
	more, parameters := false, 0
	for _, b := range h.Inventory.Assignments {
		if b.Place == p {
			more = more || !of(b)
			if b.Parameter {
				parameters++
			}
		}
	}
	// "options nf_conntrack", and parameters that are nobody's business here.
	return more || parameters > 0 && len(strings.Fields(text)) > 2+parameters
}

// isContinuation reports whether a line is the rest of the one before.
func isContinuation(h *picture.Host, p tree.Place) bool {
	return strings.HasSuffix(h.Line(tree.Place{File: p.File, Line: p.Line - 1}), `\`)
}

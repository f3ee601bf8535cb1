package doctor

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

const (
	// maxShown is the longest file from which evidence is quoted, in bytes, and
	// maxQuoted the longest line.
	maxShown  = 1 << 20
	maxQuoted = 200
)

// line is an assignment as evidence: the line as it stands there, or what it says
// where the line cannot be shown.
func (h *Host) line(a inventory.Assignment) Evidence {
	if text := strings.TrimSpace(h.rawLine(a.Place)); text != "" && len(text) <= maxQuoted {
		return Evidence{a.Place, text}
	}
	if a.Parameter {
		return Evidence{a.Place, a.Key + "=" + a.Value}
	}
	return Evidence{a.Place, a.Key + " = " + a.Value}
}

// rawLine is the text of a place; empty where it cannot be read or is not text.
func (h *Host) rawLine(p tree.Place) string {
	data, err := h.Tree.Read(p.File, maxShown)
	if err != nil || p.Line < 1 {
		return ""
	}
	lines := strings.Split(string(data), "\n")
	if p.Line > len(lines) {
		return ""
	}
	text := strings.TrimRight(lines[p.Line-1], "\r")
	if strings.ContainsFunc(text, func(r rune) bool { return r == unicode.ReplacementChar || unicode.IsControl(r) && r != '\t' }) {
		return ""
	}
	return text
}

// silence gives the commands that keep an assignment from being made, and what to
// know where no command can. All the lines of one file for which with holds are
// taken together, so that the command is the same for each of them.
func (h *Host) silence(a inventory.Assignment, with func(inventory.Assignment) bool) (fix []string, note string) {
	switch a.Tool {
	case "kube-proxy":
		return nil, "kube-proxy leaves the limit as it is where its configuration has conntrack.maxPerCore: 0, the timeouts where they are 0s: set these in the ConfigMap kube-proxy of kube-system, and restart its pods."
	case "k3s":
		return nil, "k3s leaves the limit as it is with --kube-proxy-arg=conntrack-max-per-core=0."
	case "kernel":
		_, fix = h.Distro.RemoveKernelArgument(h.Tree, a.Key+"="+a.Value)
		return fix, "It holds from the next boot on."
	}
	if by := "Take it out of " + a.Place.String() + "."; !lineBased(a.File) {
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
		if script := h.without(b, with); script != "" && !slices.Contains(scripts, script) {
			scripts = append(scripts, script)
		}
	}
	if len(scripts) == 0 {
		return nil, "Take it out of " + a.Place.String() + "."
	}
	return []string{edit(h.Tree, a.File, strings.Join(scripts, ";"))}, ""
}

// lineBased reports whether each line of a file stands for itself, so that it can
// be taken out: of a script, nobody knows what else a line does.
func lineBased(file string) bool {
	for _, dir := range []string{"/sysctl.d/", "/modprobe.d/", "/udev/rules.d/"} {
		if strings.Contains(file, dir) {
			return true
		}
	}
	name := path.Base(file)
	return name == "sysctl.conf" || name == "modprobe.conf" || strings.HasPrefix(file, "/etc/tuned/")
}

// without is the sed(1) script that makes a line say nothing of an assignment:
// it becomes a comment or, where it gives other module parameters too, loses a
// word. It can run twice. Empty where the line is not what it should be.
func (h *Host) without(a inventory.Assignment, with func(inventory.Assignment) bool) string {
	text := h.rawLine(a.Place)
	if text == "" || strings.HasSuffix(text, `\`) || h.continues(a.Place) || !strings.Contains(text, a.Key) {
		return ""
	}
	line := strconv.Itoa(a.Line)
	if !h.says(a.Place, text, func(b inventory.Assignment) bool { return b == a || with(b) }) {
		return line + "s/^[^#]/# &/"
	}
	if !a.Parameter {
		return ""
	}
	word := literal(a.Key + "=" + a.Value)
	return fmt.Sprintf("%ss/[[:blank:]]%s[[:blank:]]/ /;%ss/[[:blank:]]%s$//", line, word, line, word)
}

// says reports whether a line says more than the assignments for which of holds.
func (h *Host) says(p tree.Place, text string, of func(inventory.Assignment) bool) bool {
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

// continues reports whether a line is the rest of the one before.
func (h *Host) continues(p tree.Place) bool {
	return strings.HasSuffix(h.rawLine(tree.Place{File: p.File, Line: p.Line - 1}), `\`)
}

// placeOf turns "file:line" into a place.
func placeOf(origin string) tree.Place {
	if i := strings.LastIndexByte(origin, ':'); i > 0 {
		if line, err := strconv.Atoi(origin[i+1:]); err == nil {
			return tree.Place{File: origin[:i], Line: line}
		}
	}
	return tree.Place{File: origin}
}

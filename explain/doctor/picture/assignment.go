package picture

import (
	"strconv"
	"strings"
	"unicode"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

func SwitchEvidence(s inventory.ToolOption) finding.Evidence {
	text := s.Name + "=" + s.Value
	if s.Default {
		text += " (the default)"
	}
	return finding.At(s.Place, text)
}

// ValueAfter is the value that a setting has once an assignment was made over another
// value: tools that only raise or only lower may leave it.
func ValueAfter(a inventory.Assignment, before string) string {
	have, err1 := strconv.ParseInt(before, 10, 64)
	gives, err2 := strconv.ParseInt(a.Value, 10, 64)
	if err1 == nil && err2 == nil && (a.AtLeast && gives <= have || a.AtMost && gives >= have) {
		return before
	}
	return a.Value
}

// IsSameParameter compares two values of a load-time parameter as the kernel takes
// them: hash sizes are rounded up, a bool is shown as Y or N.
func IsSameParameter(name, a, b string) bool {
	return normalizeParameter(name, a) == normalizeParameter(name, b)
}

func normalizeParameter(name, value string) string {
	switch name {
	case Hashsize, ExpectHashsize:
		if n, err := strconv.ParseInt(value, 0, 64); err == nil && n > 0 {
			return strconv.FormatInt(sysfs.RoundHashsize(n), 10)
		}
	default:
		switch value {
		case "Y", "y", "1":
			return "1"
		case "N", "n", "0":
			return "0"
		}
	}
	return value
}

// Overtaker returns the assignment of the same setting that overrides a, and whether there is one. An
// assignment without effect for another reason (hidden, not the active profile) is never made at all.
func (h *Host) Overtaker(a inventory.Assignment) (inventory.Assignment, bool) {
	for _, b := range h.Inventory.Assignments {
		if b.Name == a.Name && b.Place != a.Place && b.Place == a.OverriddenBy {
			return b, true
		}
	}
	return inventory.Assignment{}, false
}

// HasEffect reports whether an assignment has an effect at the time when it is made.
func (h *Host) HasEffect(a inventory.Assignment) bool {
	if a.NoEffect == "" {
		return true
	}
	over, found := h.Overtaker(a)
	return found && over.Phase > a.Phase
}

// KernelName is how the kernel calls what an assignment sets, without net.netfilter.
func KernelName(a inventory.Assignment) string {
	if s := sysfs.Lookup(a.Name); !a.Parameter && a.Name != Hashsize && s != nil {
		return strings.TrimPrefix(s.Sysctl(), "net.netfilter.")
	}
	return a.Name
}

// maxShown is the longest file from which evidence is quoted, in bytes, and
// maxQuoted the longest line.
const maxShown = 1 << 20

const MaxQuoted = 200

// AssignmentEvidence is an assignment as evidence: the line as it stands there, or what it says
// where the line cannot be shown.
func (h *Host) AssignmentEvidence(a inventory.Assignment) finding.Evidence {
	if text := strings.TrimSpace(h.Line(a.Place)); text != "" && len(text) <= MaxQuoted {
		return finding.At(a.Place, text)
	}
	if a.Parameter {
		return finding.At(a.Place, a.Key+"="+a.Value)
	}
	return finding.At(a.Place, a.Key+" = "+a.Value)
}

// Line is the text of a place; empty where it cannot be read or is not text.
func (h *Host) Line(p tree.Place) string {
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

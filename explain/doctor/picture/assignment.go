package picture

import (
	"strconv"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// AssignmentEvidence returns an assignment as evidence: its line, or what it assigns where the line
// cannot be quoted.
func (h *Host) AssignmentEvidence(a inventory.Assignment) finding.Evidence {
	if text := h.Quote(a.Place); text != "" {
		return finding.At(a.Place, text)
	}
	if a.Parameter {
		return finding.At(a.Place, a.Key+"="+a.Value)
	}
	return finding.At(a.Place, a.Key+" = "+a.Value)
}

// OptionEvidence returns an option of a tool as evidence.
func OptionEvidence(o inventory.ToolOption) finding.Evidence {
	text := o.Name + "=" + o.Value
	if o.Default {
		text += " (the default)"
	}
	return finding.At(o.Place, text)
}

// DirectiveEvidence returns a line of modprobe.d as evidence.
func DirectiveEvidence(d kmod.Directive) finding.Evidence {
	return finding.At(d.Place, strings.TrimSpace(d.Kind+" "+d.Module+" "+d.Args))
}

// Overrider returns the assignment of the same setting that overrides an assignment. What has no effect
// for another reason (a hidden file, a profile that is not active) is never made.
func (h *Host) Overrider(a inventory.Assignment) (inventory.Assignment, bool) {
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
	over, found := h.Overrider(a)
	return found && over.Phase > a.Phase
}

// KernelName returns the kernel's name of what an assignment sets, without net.netfilter.
func KernelName(a inventory.Assignment) string {
	if s := sysfs.Lookup(a.Name); !a.Parameter && a.Name != sysfs.Hashsize && s != nil {
		return strings.TrimPrefix(s.Sysctl(), "net.netfilter.")
	}
	return a.Name
}

// ValueAfter returns the value of a setting after an assignment. Tools that only raise or only lower a
// value may leave the one before.
func ValueAfter(a inventory.Assignment, before string) string {
	old, errOld := strconv.ParseInt(before, 10, 64)
	assigned, errAssigned := strconv.ParseInt(a.Value, 10, 64)
	if errOld == nil && errAssigned == nil && (a.AtLeast && assigned <= old || a.AtMost && assigned >= old) {
		return before
	}
	return a.Value
}

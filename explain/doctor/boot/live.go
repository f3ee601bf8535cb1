package boot

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/fixes"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// checkLive reports live values that the next boot would not bring back.
func checkLive(h *picture.Host) []finding.Finding {
	if h.Env.ChildNetns {
		return nil
	}
	var found []finding.Finding
	for _, live := range []struct {
		name  string
		value *int64
	}{{sysfs.Hashsize, h.Figures.Buckets}, {"max", h.Figures.Max}, {"expect_max", h.Figures.ExpectMax}} {
		if live.value == nil {
			continue
		}
		if f, isLost := lostAtBoot(h, sysfs.Lookup(live.name), strconv.FormatInt(*live.value, 10)); isLost {
			found = append(found, f)
		}
	}
	return found
}

// lostAtBoot compares a live value with the value that the setting has after the next boot.
func lostAtBoot(h *picture.Host, s *sysfs.Setting, live string) (finding.Finding, bool) {
	name := picture.KernelName(inventory.Assignment{Name: s.Name})
	f := finding.Finding{
		ID: "runtime-only", Severity: finding.Warning, Evidence: []finding.Evidence{finding.Seen("/"+s.File(), 0,
			live)},
	}
	if w, wanted := h.Want(s.Name); wanted && h.Env.Enabled {
		if w.Satisfied(s.Parse(live)) || h.IsEnforcing() && h.Env.Running != nil { // the daemon is repairing it
			return finding.Finding{}, false
		}
		f.Summary = fmt.Sprintf("%s is %s now, and %s after the next boot", name, live, w)
		f.Evidence = append(f.Evidence, finding.At(w.Origin, s.Name+": "+w.String()))
		f.Fix = []string{fixes.Enforce(h)}
		return f, true
	}
	next, from, known := nextBoot(h, s.Name)
	if !known || (sysfs.Want{Setting: s, Policy: sysfs.Exactly, Value: s.Parse(next)}).Satisfied(s.Parse(live)) {
		return finding.Finding{}, false
	}
	f.Evidence = append(f.Evidence, h.AssignmentEvidence(from))
	if isLoadValue(h, s.Name, live) {
		return resetSinceBoot(f, s, live, next, from), true
	}
	f.Summary = fmt.Sprintf("%s is %s now, and %s after the next boot", name, live, next)
	f.Fix = keepValue(h, s.Name, live, from)
	switch {
	case len(f.Fix) > 0:
		f.Note = "This keeps the live value. If the file is right, apply the file instead."
	case from.Tool == picture.KubeProxy || from.Tool == "k3s":
		_, f.Note = fixes.RemoveAssignment(h, from, nil)
	default:
		f.Note = "To keep the live value, write it into a configuration file."
	}
	return f, true
}

// isLoadValue reports whether a value is the one with which the module is loaded, before anything sets
// it: the value that the parameters cause or, for max without parameters, the kernel's own: 1 connection
// a bucket, 4 before 5.15.
func isLoadValue(h *picture.Host, name, live string) bool {
	own, known := "", false
	for _, a := range h.Inventory.Assignments {
		if value, found := valueAtLoad(name, a); found && isMade(h, a) {
			own, known = value, true
		}
	}
	if known {
		return own == live
	}
	if name != "max" || h.Figures.Buckets == nil {
		return false
	}
	n, err := strconv.ParseInt(live, 10, 64)
	return err == nil && (n == *h.Figures.Buckets || n == 4**h.Figures.Buckets)
}

// resetSinceBoot is the finding about a value that the host's files assign and that no longer applies.
func resetSinceBoot(f finding.Finding, s *sysfs.Setting, live, next string, from inventory.Assignment) finding.Finding {
	f.ID, f.Severity = "reset-since-boot", finding.Error
	f.Summary = fmt.Sprintf("%s is %s, the value with which the module is loaded, and not %s of %s: "+
		"the module was reloaded since the boot, or the line was never applied",
		picture.KernelName(inventory.Assignment{Name: s.Name}), live, next, from.Place)
	f.Fix = []string{"sysctl -w " + s.Sysctl() + "=" + next}
	if s.Name == sysfs.Hashsize { // the sysctl is read-only before 4.7
		f.Fix = []string{"echo " + next + " > /sys/module/nf_conntrack/parameters/hashsize"}
	}
	f.Note = "The next load of the module resets it again. " + fixes.ImportWrite +
		" adopts the value, and the daemon keeps it through every load."
	return f
}

// keepValue returns the commands after which a live value comes back after a boot. They write ctkeeper's
// configuration where a unit can enforce it, else the line that decides now.
func keepValue(h *picture.Host, name, live string, from inventory.Assignment) []string {
	e, isEntry := fixes.AssignmentEntry(inventory.Assignment{Name: name, Value: live})
	text, line := h.Line(from.Place), strconv.Itoa(from.Line)
	switch {
	case !isEntry:
		return nil
	case h.Env.Systemd && h.Env.Installed:
		fix := fixes.Configure(h, "live-"+strings.ReplaceAll(e[0], "_", "-"), []fixes.Entry{e}, nil)
		if !h.Env.Enabled {
			fix[len(fix)-1] = "systemctl enable --now ctkeeper"
		}
		return fix
	case from.Name != name || !fixes.IsLineBased(from.File):
		return nil
	case from.Parameter && strings.Contains(text, from.Key+"="+from.Value):
		script := line + "s/" + fixes.Literal(from.Key+"="+from.Value) + "/" + from.Key + "=" + live + "/"
		return []string{fixes.Edit(h, from.File, script)}
	case strings.Contains(from.File, "sysctl") && strings.Contains(text, from.Key):
		return []string{fixes.Edit(h, from.File, line+"s/=.*/= "+live+"/")}
	}
	return nil
}

// nextBoot returns the value that the files assign to a setting at the next boot, and the assignment it
// comes from. What firewalls and services assign later counts too.
func nextBoot(h *picture.Host, name string) (value string, from inventory.Assignment, known bool) {
	for _, a := range h.Inventory.Assignments {
		atLoad, isLoad := valueAtLoad(name, a)
		switch {
		case !isMade(h, a) || a.TooEarly:
		case isLoad:
			value, from, known = atLoad, a, true
		case a.Name == name && !a.Parameter && known:
			if after := picture.ValueAfter(a, value); after != value {
				value, from = after, a
			}
		case a.Name == name && !a.Parameter && !a.AtLeast && !a.AtMost:
			value, from, known = a.Value, a, true
		}
	}
	return value, from, known
}

// isMade reports whether an assignment is made, also where another one overrides it later.
func isMade(h *picture.Host, a inventory.Assignment) bool {
	_, isOverridden := h.Overrider(a)
	return a.NoEffect == "" || isOverridden
}

// valueAtLoad returns the value that a load-time parameter causes for a setting.
func valueAtLoad(name string, a inventory.Assignment) (string, bool) {
	n, err := strconv.ParseInt(a.Value, 0, 64)
	if !a.Parameter || err != nil || n <= 0 {
		return "", false
	}
	switch {
	case name == sysfs.Hashsize && a.Name == sysfs.Hashsize:
	case name == "max" && a.Name == sysfs.Hashsize:
		n = sysfs.RoundHashsize(n) * sysfs.LoadMaxFactor
	case name == "expect_max" && a.Name == sysfs.ExpectHashsize:
		n *= sysfs.ExpectMaxFactor
	default:
		return "", false
	}
	return strconv.FormatInt(n, 10), true
}

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

// maxPerBucket is how many connections the kernel allows for each bucket of a
// hashsize given at load (nf_conntrack_init_start).
const maxPerBucket = 8

// expectPerBucket is the same for expectations (nf_conntrack_expect_init).
const expectPerBucket = 4

// checkLive are the values in force that the next boot would not bring back.
func checkLive(h *picture.Host) []finding.Finding {
	var found []finding.Finding
	for _, live := range []struct {
		name  string
		value *int64
	}{{picture.Hashsize, h.Figures.Buckets}, {"max", h.Figures.Max}, {"expect_max", h.Figures.ExpectMax}} {
		if live.value == nil || h.Env.ChildNetns {
			continue
		}
		if f, ok := lostAtBoot(h, sysfs.Lookup(live.name), strconv.FormatInt(*live.value, 10)); ok {
			found = append(found, f)
		}
	}
	return found
}

// lostAtBoot compares a live value with what the next boot makes of the setting.
func lostAtBoot(h *picture.Host, s *sysfs.Setting, live string) (finding.Finding, bool) {
	name := picture.KernelName(inventory.Assignment{Name: s.Name})
	f := finding.Finding{ID: "runtime-only", Severity: finding.Warning, Evidence: []finding.Evidence{finding.Seen("/"+s.File(), 0, live)}}
	if w, asked := h.Want(s.Name); asked && h.Env.Enabled {
		if w.Satisfied(s.Parse(live)) || h.IsEnforcing() && h.Env.Running != nil { // it is being put right
			return finding.Finding{}, false
		}
		f.Summary = fmt.Sprintf("%s is %s now, and the next boot makes it %s", name, live, w)
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
	f.Summary = fmt.Sprintf("%s is %s now, and the next boot makes it %s", name, live, next)
	f.Fix = keepValue(h, s.Name, live, from)
	switch {
	case len(f.Fix) > 0:
		f.Note = "This keeps the value that is in force now. If the file is right, have it applied instead."
	case from.Tool == "kube-proxy" || from.Tool == "k3s":
		_, f.Note = fixes.RemoveAssignment(h, from, nil)
	default:
		f.Note = "To keep the value that is in force now it has to be written down."
	}
	return f, true
}

// isLoadValue reports whether a value is what a setting has as the module is loaded,
// before anybody sets it: what the parameters make of it or, for max where there are
// none, the kernel's own 1 connection a bucket, 4 before 5.15.
func isLoadValue(h *picture.Host, name, live string) bool {
	own, known := "", false
	for _, a := range h.Inventory.Assignments {
		_, overtaken := h.Overtaker(a)
		if value, ok := valueAtLoad(name, a); ok && (a.NoEffect == "" || overtaken) {
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

// resetSinceBoot is the finding of a value that the host's files give, and that is
// not in force any more.
func resetSinceBoot(f finding.Finding, s *sysfs.Setting, live, next string, from inventory.Assignment) finding.Finding {
	f.ID, f.Severity = "reset-since-boot", finding.Error
	f.Summary = fmt.Sprintf("%s is %s, which the module comes up with, and not %s of %s: the module was loaded anew since then, or the line was never applied",
		picture.KernelName(inventory.Assignment{Name: s.Name}), live, next, from.Place)
	f.Fix = []string{"sysctl -w " + s.Sysctl() + "=" + next}
	if s.Name == picture.Hashsize { // the sysctl is read-only before 4.7
		f.Fix = []string{"echo " + next + " > /sys/module/nf_conntrack/parameters/hashsize"}
	}
	f.Note = "The next load of the module throws it away again. " + fixes.ImportWrite + " takes the value over, and the daemon keeps it through every load."
	return f
}

// keepValue gives the commands that have a live value come back after a boot: in
// ctkeeper's configuration where a unit can enforce it, else in the line that
// decides today.
func keepValue(h *picture.Host, name, live string, from inventory.Assignment) []string {
	e, ok := fixes.AsEntry(inventory.Assignment{Name: name, Value: live})
	text, line := h.Line(from.Place), strconv.Itoa(from.Line)
	switch {
	case !ok:
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
		return []string{fixes.Edit(h.Tree, from.File, line+"s/"+fixes.Literal(from.Key+"="+from.Value)+"/"+from.Key+"="+live+"/")}
	case strings.Contains(from.File, "sysctl") && strings.Contains(text, from.Key):
		return []string{fixes.Edit(h.Tree, from.File, line+"s/=.*/= "+live+"/")}
	}
	return nil
}

// nextBoot is the value that the files give a setting at the next boot, as far as
// boot goes: what firewalls and services do later counts too.
func nextBoot(h *picture.Host, name string) (value string, from inventory.Assignment, known bool) {
	for _, a := range h.Inventory.Assignments {
		_, overtaken := h.Overtaker(a)
		happens := a.NoEffect == "" || overtaken
		at, ok := valueAtLoad(name, a)
		switch {
		case !happens || a.TooEarly:
		case ok:
			value, from, known = at, a, true
		case a.Name == name && !a.Parameter && known:
			if now := picture.ValueAfter(a, value); now != value {
				value, from = now, a
			}
		case a.Name == name && !a.Parameter && !a.AtLeast && !a.AtMost:
			value, from, known = a.Value, a, true
		}
	}
	return value, from, known
}

// valueAtLoad is what a module parameter makes of a setting.
func valueAtLoad(name string, a inventory.Assignment) (string, bool) {
	n, err := strconv.ParseInt(a.Value, 0, 64)
	if !a.Parameter || err != nil || n <= 0 {
		return "", false
	}
	switch {
	case name == picture.Hashsize && a.Name == picture.Hashsize:
	case name == "max" && a.Name == picture.Hashsize:
		n = sysfs.RoundHashsize(n) * maxPerBucket
	case name == "expect_max" && a.Name == picture.ExpectHashsize:
		n *= expectPerBucket
	default:
		return "", false
	}
	return strconv.FormatInt(n, 10), true
}

package doctor

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/persist"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

const (
	// maxPerBucket is how many connections the kernel allows for each bucket of a
	// hashsize given at load (nf_conntrack_init_start).
	maxPerBucket = 8
	// expectPerBucket is the same for expectations (nf_conntrack_expect_init).
	expectPerBucket = 4
)

// runtimeOnly are the values in force that the next boot would not bring back.
func runtimeOnly(h *Host) []Finding {
	var found []Finding
	for _, live := range []struct {
		name  string
		value *int64
	}{{hashsize, h.Figures.Buckets}, {"max", h.Figures.Max}, {"expect_max", h.Figures.ExpectMax}} {
		if live.value == nil || h.Place.ChildNetns {
			continue
		}
		if f, ok := h.lostAtBoot(sysfs.Lookup(live.name), strconv.FormatInt(*live.value, 10)); ok {
			found = append(found, f)
		}
	}
	return found
}

// lostAtBoot compares a live value with what the next boot makes of the setting.
func (h *Host) lostAtBoot(s *sysfs.Setting, live string) (Finding, bool) {
	name := kernelName(inventory.Assignment{Name: s.Name})
	f := Finding{ID: "runtime-only", Severity: Warning, Evidence: []Evidence{seen("/"+s.File(), 0, live)}}
	if w, asked := h.want(s.Name); asked && h.Place.Enabled {
		if w.Satisfied(live) || h.repairs() && h.Place.Running != nil { // it is being put right
			return Finding{}, false
		}
		f.Summary = fmt.Sprintf("%s is %s now, and the next boot makes it %s", name, live, w)
		f.Evidence = append(f.Evidence, Evidence{placeOf(w.Origin), s.Name + ": " + w.String()})
		f.Fix = []string{h.enforce()}
		return f, true
	}
	next, from, known := h.nextBoot(s.Name)
	if !known || (sysfs.Want{Setting: s, Policy: sysfs.Exactly, Value: next}).Satisfied(live) {
		return Finding{}, false
	}
	f.Evidence = append(f.Evidence, h.line(from))
	if h.loadsWith(s.Name, live) {
		return resetSince(f, s, live, next, from), true
	}
	f.Summary = fmt.Sprintf("%s is %s now, and the next boot makes it %s", name, live, next)
	f.Fix = h.keep(s.Name, live, from)
	switch {
	case len(f.Fix) > 0:
		f.Note = "This keeps the value that is in force now. If the file is right, have it applied instead."
	case from.Tool == "kube-proxy" || from.Tool == "k3s":
		_, f.Note = h.silence(from, nil)
	default:
		f.Note = "To keep the value that is in force now it has to be written down."
	}
	return f, true
}

// loadsWith reports whether a value is what a setting has as the module is loaded,
// before anybody sets it: what the parameters make of it or, for max where there are
// none, the kernel's own 1 connection a bucket, 4 before 5.15.
func (h *Host) loadsWith(name, live string) bool {
	own, known := "", false
	for _, a := range h.Inventory.Assignments {
		_, overtaken := h.overtaker(a)
		if value, ok := atLoad(name, a); ok && (a.NoEffect == "" || overtaken) {
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

// resetSince is the finding of a value that the host's files give, and that is
// not in force any more.
func resetSince(f Finding, s *sysfs.Setting, live, next string, from inventory.Assignment) Finding {
	f.ID, f.Severity = "reset-since-boot", Error
	f.Summary = fmt.Sprintf("%s is %s, which the module comes up with, and not %s of %s: the module was loaded anew since then, or the line was never applied",
		kernelName(inventory.Assignment{Name: s.Name}), live, next, from.Place)
	f.Fix = []string{"sysctl -w " + s.Sysctl() + "=" + next}
	if s.Name == hashsize { // the sysctl is read-only before 4.7
		f.Fix = []string{"echo " + next + " > /sys/module/nf_conntrack/parameters/hashsize"}
	}
	f.Note = "The next load of the module throws it away again. " + importWrite + " takes the value over, and the daemon keeps it through every load."
	return f
}

// keep gives the commands that have a live value come back after a boot: in
// ctkeeper's configuration where a unit can enforce it, else in the line that
// decides today.
func (h *Host) keep(name, live string, from inventory.Assignment) []string {
	e, ok := asEntry(inventory.Assignment{Name: name, Value: live})
	text, line := h.rawLine(from.Place), strconv.Itoa(from.Line)
	switch {
	case !ok:
		return nil
	case h.Place.Systemd && h.Place.Installed:
		fix := h.configure("live-"+strings.ReplaceAll(e.key, "_", "-"), []entry{e}, nil)
		if !h.Place.Enabled {
			fix[len(fix)-1] = "systemctl enable --now ctkeeper"
		}
		return fix
	case from.Name != name || !lineBased(from.File):
		return nil
	case from.Parameter && strings.Contains(text, from.Key+"="+from.Value):
		return []string{edit(h.Tree, from.File, line+"s/"+literal(from.Key+"="+from.Value)+"/"+from.Key+"="+live+"/")}
	case strings.Contains(from.File, "sysctl") && strings.Contains(text, from.Key):
		return []string{edit(h.Tree, from.File, line+"s/=.*/= "+live+"/")}
	}
	return nil
}

// nextBoot is the value that the files give a setting at the next boot, as far as
// boot goes: what firewalls and services do later counts too.
func (h *Host) nextBoot(name string) (value string, from inventory.Assignment, known bool) {
	for _, a := range h.Inventory.Assignments {
		_, overtaken := h.overtaker(a)
		happens := a.NoEffect == "" || overtaken
		at, ok := atLoad(name, a)
		switch {
		case !happens || a.TooEarly:
		case ok:
			value, from, known = at, a, true
		case a.Name == name && !a.Parameter && known:
			if now := after(a, value); now != value {
				value, from = now, a
			}
		case a.Name == name && !a.Parameter && !a.AtLeast && !a.AtMost:
			value, from, known = a.Value, a, true
		}
	}
	return value, from, known
}

// atLoad is what a module parameter makes of a setting.
func atLoad(name string, a inventory.Assignment) (string, bool) {
	n, err := strconv.ParseInt(a.Value, 0, 64)
	if !a.Parameter || err != nil || n <= 0 {
		return "", false
	}
	switch {
	case name == hashsize && a.Name == hashsize:
	case name == "max" && a.Name == hashsize:
		n = sysfs.RoundHashsize(n) * maxPerBucket
	case name == "expect_max" && a.Name == expectHashsize:
		n *= expectPerBucket
	default:
		return "", false
	}
	return strconv.FormatInt(n, 10), true
}

// bootFilesStale compares the files of persist with what the configuration asks.
func bootFilesStale(h *Host) []Finding {
	if h.Config == nil || !h.Place.Installed && len(h.Config.Files) == 0 {
		return nil
	}
	plan, err := persist.NewPlan(h.Tree, h.Config, persist.Options{})
	f := Finding{ID: "boot-files-stale", Severity: Warning, Fix: []string{"ctkeeper persist"}}
	there := false
	var paths []string
	for _, file := range plan.Files {
		there = there || file.Before != nil
		if string(file.Before) == string(file.Content) && (file.Before == nil) == (file.Content == nil) && (file.Before == nil || file.Mode == file.BeforeMode) {
			continue
		}
		paths = append(paths, file.Path)
		f.Evidence = append(f.Evidence, seen(file.Path, 0, difference(file)))
	}
	var found []Finding
	if len(paths) > 0 {
		f.Summary = "the boot files are not what the configuration asks for: " + strings.Join(paths, ", ")
		if !there {
			f.Severity = Info
			f.Summary = "the boot files are not written: until ctkeeper runs, the module comes up with other values"
		}
		found = append(found, f)
	}
	if err != nil {
		found = append(found, unwritable(err))
	}
	return found
}

// unwritable are the boot files that persist refuses to write.
func unwritable(err error) Finding {
	f := Finding{ID: "boot-files-refused", Severity: Warning, Summary: "the boot files cannot be written as the configuration asks"}
	for _, line := range strings.Split(err.Error(), "\n") {
		f.Evidence = append(f.Evidence, Evidence{Text: line})
	}
	if errors.Is(err, persist.ErrForeign) {
		f.Note = "persist replaces no file that it did not write: move it away, and run ctkeeper persist."
	}
	return f
}

// difference says what is to change in a boot file.
func difference(f persist.File) string {
	switch {
	case f.Before == nil:
		return "is not there"
	case f.Content == nil:
		return "should not be there"
	case string(f.Before) == string(f.Content):
		return fmt.Sprintf("has mode %04o, should have %04o", f.BeforeMode.Perm(), f.Mode.Perm())
	}
	have, should := strings.Split(string(f.Before), "\n"), strings.Split(string(f.Content), "\n")
	for _, line := range should {
		if line != "" && !slices.Contains(have, line) {
			return "should have: " + line
		}
	}
	for _, line := range have {
		if line != "" && !slices.Contains(should, line) {
			return "should not have: " + line
		}
	}
	return "has its lines in another order"
}

// loadParameters are the load-time parameters that the loaded module does not have
// as the configuration asks: only a reload brings them.
func loadParameters(h *Host) []Finding {
	if h.Config == nil || h.Module.State != kmod.Loaded {
		return nil
	}
	f := Finding{ID: "load-parameter-differs", Severity: Warning}
	var names []string
	for _, p := range h.Config.Module.Parameters {
		if p.Name != expectHashsize && p.Name != "enable_hooks" {
			continue // the others can be set at run time
		}
		file := "/sys/module/" + kmod.Conntrack + "/parameters/" + p.Name
		live, err := kmod.ParameterValue(h.Tree, kmod.Conntrack, p.Name)
		if err != nil || sameParameter(p.Name, live, p.Value) {
			continue
		}
		names = append(names, fmt.Sprintf("%s is %s, the configuration asks for %s", p.Name, live, p.Value))
		f.Evidence = append(f.Evidence, seen(file, 0, live), Evidence{placeOf(p.Origin), p.Name + ": " + p.Value})
	}
	if len(names) == 0 {
		return nil
	}
	f.Summary = "the module is loaded with other parameters, which only a reload changes: " + strings.Join(names, ", ")
	users := kmod.Users(h.Modules, kmod.Conntrack)
	if len(users) > 0 {
		f.Evidence = append(f.Evidence, seen("/proc/modules", 0, "nf_conntrack is used by "+strings.Join(users, ", ")))
	}
	remove := "modprobe -r " + strings.Join(append(users, kmod.Conntrack), " ")
	f.Note = "The next boot brings them. Sooner: stop the firewall, " + remove + ", start the firewall; every tracked connection is forgotten."
	return []Finding{f}
}

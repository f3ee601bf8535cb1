package owners

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/fixes"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/change"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// checkTooEarly reports sysctl settings that are applied at boot before the module is loaded, and
// therefore have no effect.
func checkTooEarly(h *picture.Host) []finding.Finding {
	var names []string
	f := finding.Finding{ID: "sysctl-too-early", Severity: finding.Warning}
	for _, a := range h.Inventory.Assignments {
		live, isLive := h.Settings[a.Name]
		isSet := isLive && h.Inventory.Outcome(a.Name, live).HasLive(live) // something applied it all the same
		if !a.TooEarly || a.FromPersist || a.NoEffect != "" || h.IsEnforced(a.Name) || isSet {
			continue
		}
		f.Evidence = append(f.Evidence, h.AssignmentEvidence(a))
		if isLive {
			f.Evidence = append(f.Evidence, finding.Seen("/"+sysfs.Lookup(a.Name).File(), 0, live))
		}
		names = finding.Unique(append(names, picture.KernelName(a)))
		pronoun := "it has"
		if len(names) > 1 {
			pronoun = "they have"
		}
		f.Summary = fmt.Sprintf("%s applies %s before the module is loaded: %s no effect", a.Tool,
			strings.Join(names, ", "), pronoun)
	}
	if len(names) == 0 {
		return nil
	}
	if logged := h.Logged(isRefusedSysctl); len(logged) > 0 {
		f.Severity = finding.Error // it has happened
		f.Evidence = append(f.Evidence, logged...)
	}
	if docker, on := h.DockerRules(); on {
		e := picture.OptionEvidence(docker)
		e.Text += ": Docker's rules load the module, after that"
		f.Evidence = append(f.Evidence, e)
	}
	f.Fix, f.Note = adopt(h, names)
	if len(kmod.ProtocolModules(h.Release)) > 0 && len(h.Inventory.EarlyLoads) > 0 {
		f.Note += " Before Linux 4.19 the settings of the protocols come with nf_conntrack_ipv4."
	}
	return []finding.Finding{f}
}

// isRefusedSysctl matches the messages of systemd-sysctl and sysctl(8) about a key of a module that is
// not loaded.
func isRefusedSysctl(text string) bool {
	isMissing := strings.Contains(text, "No such file or directory") && strings.Contains(text, "nf_conntrack")
	return isMissing && (strings.Contains(text, "Couldn't write") || strings.Contains(text, "cannot stat /proc/sys/"))
}

// adopt returns the steps after which ctkeeper sets these settings.
func adopt(h *picture.Host, names []string) (fix []finding.Step, note string) {
	isWanted := true
	for _, a := range h.Inventory.Assignments {
		if _, found := h.Want(a.Name); slices.Contains(names, picture.KernelName(a)) && !found {
			isWanted = false
		}
	}
	if !isWanted || h.Config.UsesDefault {
		fix = append(fix, fixes.ImportWrite())
	}
	note = "ctkeeper then sets them whenever the module is loaded."
	switch {
	case !h.Env.Systemd:
		return loadEarly(h)
	case !h.Env.Installed:
		fix = append(fix, change.Run("ctkeeper", "persist", "--udev"))
		note = "udev then sets them whenever the module is loaded."
	case !h.Env.Enabled:
		fix = append(fix, fixes.EnableUnit())
	case len(fix) == 0:
		fix = append(fix, change.Run("systemctl", "restart", "ctkeeper"))
	}
	return fix, note
}

// loadEarly returns the steps after which an init without systemd loads the module before it applies
// sysctl settings: rc.sysinit runs scripts, OpenRC reads /etc/modules.
func loadEarly(h *picture.Host) (fix []finding.Step, note string) {
	note = "The module is then loaded before the settings are applied at the next boot."
	if h.Env.SysconfigModules {
		const script = "/etc/sysconfig/modules/nf_conntrack.modules"
		return []finding.Step{
			change.WriteFile(script, "#!/bin/sh", "exec /sbin/modprobe nf_conntrack"),
			change.Run("chmod", "755", script),
		}, note
	}
	isListed := func(d inventory.DeadLine) bool {
		return d.Loads && strings.HasPrefix(d.Why, "the service modules, which")
	}
	if slices.ContainsFunc(h.Inventory.DeadLines, isListed) {
		return []finding.Step{change.Run("rc-update", "add", "modules", "boot")}, note
	}
	return fixes.Append(h, "/etc/modules", "nf_conntrack"), note
}

// checkNotRead reports, file by file, the lines that look like settings and that nothing on this host
// applies, for another reason than a later line.
func checkNotRead(h *picture.Host) []finding.Finding {
	byFile := map[string][]inventory.Assignment{}
	for _, a := range h.Inventory.Assignments {
		_, isOverridden := h.Overrider(a)
		isHidden := strings.HasPrefix(a.NoEffect, "hidden by ") // on purpose
		isSkipped := a.FromPersist || a.Invalid || isOverridden || isHidden
		if a.NoEffect != "" && a.Phase == inventory.AtBoot && !isSkipped {
			byFile[a.File] = append(byFile[a.File], a)
		}
	}
	var found []finding.Finding
	for n, file := range slices.Sorted(maps.Keys(byFile)) {
		found = append(found, notRead(h, file, byFile[file], n))
	}
	return found
}

// notRead returns the finding about the lines of one file, the nth of them.
func notRead(h *picture.Host, file string, lines []inventory.Assignment, n int) finding.Finding {
	f := finding.Finding{ID: "sysctl-not-read", Severity: finding.Info}
	var keys, reasons []string
	var wanted []fixes.Entry
	for _, a := range lines {
		f.Evidence = append(f.Evidence, h.AssignmentEvidence(a))
		keys, reasons = append(keys, a.Key), append(reasons, a.NoEffect)
		if isSet(h, a.Name) {
			continue
		}
		f.Severity = finding.Warning
		if e, isEntry := fixes.AssignmentEntry(a); isEntry { // of several lines the last one counts
			isSame := func(other fixes.Entry) bool { return other[0] == e[0] }
			wanted = append(slices.DeleteFunc(wanted, isSame), e)
		}
	}
	f.Summary = fmt.Sprintf("%s in %s: no effect, %s",
		strings.Join(finding.Unique(keys), ", "), file, strings.Join(finding.Unique(reasons), "; "))
	if len(wanted) > 0 {
		f.Fix = fixes.Configure(h, "sysctl"+strings.Repeat("-more", n), wanted, nil)
	}
	remove, note := fixes.RemoveAssignment(h, lines[0],
		func(b inventory.Assignment) bool { return slices.Contains(lines, b) })
	f.Fix, f.Note = append(f.Fix, remove...), note
	return f
}

// checkRefused reports sysctl lines whose value the kernel refuses.
func checkRefused(h *picture.Host) []finding.Finding {
	var found []finding.Finding
	for _, a := range h.Inventory.Assignments {
		if !a.Invalid || a.Parameter || a.FromPersist {
			continue
		}
		f := finding.Finding{
			ID: "value-refused", Severity: finding.Warning, Evidence: []finding.Evidence{h.AssignmentEvidence(a)},
			Summary: fmt.Sprintf("%s of %s has no effect: %s", a.Key, a.Place, a.NoEffect),
			Note:    "Write a number.",
		}
		if isSet(h, a.Name) {
			f.Severity = finding.Info
		}
		if a.Meant != "" && fixes.IsLineBased(a.File) && strings.Contains(a.File, "sysctl") {
			f.Note = "The number that seems to be meant is " + a.Meant + "."
			f.Fix = fixes.Edit(h, []tree.Place{a.Place}, func(_ tree.Place, line string) string {
				key, _, _ := strings.Cut(line, "=")
				return strings.TrimRight(key, " \t") + " = " + a.Meant
			})
		}
		found = append(found, f)
	}
	return found
}

// isSet reports whether the configuration, or anything on this host, assigns a value to a setting.
func isSet(h *picture.Host, name string) bool {
	_, wanted := h.Want(name)
	return wanted && h.IsConfigured() || slices.ContainsFunc(h.Inventory.Assignments,
		func(a inventory.Assignment) bool {
			return a.Name == name && h.HasEffect(a)
		})
}

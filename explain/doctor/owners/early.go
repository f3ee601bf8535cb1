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
)

// checkTooEarly are the sysctl settings that are applied at boot before the
// module is there, so that nobody applies them.
func checkTooEarly(h *picture.Host) []finding.Finding {
	var names []string
	f := finding.Finding{ID: "sysctl-too-early", Severity: finding.Warning}
	for _, a := range h.Inventory.Assignments {
		if !a.TooEarly || a.FromPersist || a.NoEffect != "" || h.IsEnforced(a.Name) {
			continue
		}
		f.Evidence = append(f.Evidence, h.AssignmentEvidence(a))
		if name := picture.KernelName(a); !slices.Contains(names, name) {
			names = append(names, name)
		}
		f.Summary = fmt.Sprintf("%s applies %s before the module is there: %s without effect", a.Tool, strings.Join(names, ", "), areOrIs(len(names)))
	}
	if len(names) == 0 {
		return nil
	}
	if proof := h.Logged(isRefusedSysctl); len(proof) > 0 {
		f.Severity = finding.Error // it is so, and not only to be feared
		f.Evidence = append(f.Evidence, proof...)
	}
	if docker, on := h.DockerRules(); on {
		e := picture.SwitchEvidence(docker)
		e.Text += ": Docker's rules load the module, after that"
		f.Evidence = append(f.Evidence, e)
	}
	f.Fix, f.Note = adopt(h, names)
	return []finding.Finding{f}
}

func areOrIs(n int) string {
	if n == 1 {
		return "it is"
	}
	return "they are"
}

// isRefusedSysctl knows the messages of systemd-sysctl and sysctl(8) about a key of
// a module that is not there.
func isRefusedSysctl(text string) bool {
	missing := strings.Contains(text, "No such file or directory")
	return missing && strings.Contains(text, "nf_conntrack") && (strings.Contains(text, "Couldn't write") || strings.Contains(text, "cannot stat /proc/sys/"))
}

// adopt gives the commands that make ctkeeper the one who sets these settings.
func adopt(h *picture.Host, names []string) (fix []string, note string) {
	asked := true
	for _, a := range h.Inventory.Assignments {
		if _, found := h.Want(a.Name); slices.Contains(names, picture.KernelName(a)) && !found {
			asked = false
		}
	}
	command := fixes.ImportWrite
	if asked && len(h.Config.Files) > 0 {
		command = ""
	}
	switch {
	case !h.Env.Systemd:
		return loadEarly(h)
	case !h.Env.Installed:
		return []string{joinCommands(command, "ctkeeper persist --udev")}, "udev then applies them whenever the module is loaded."
	case !h.Env.Enabled:
		command = joinCommands(command, "systemctl enable --now ctkeeper")
	case command == "":
		command = "systemctl restart ctkeeper"
	}
	return []string{command}, "ctkeeper then sets them whenever the module is loaded."
}

// loadEarly gives the command that loads the module before an init without systemd
// applies sysctl settings: rc.sysinit runs its scripts, OpenRC reads /etc/modules.
func loadEarly(h *picture.Host) (fix []string, note string) {
	const inTime = "The module is then loaded before the settings are applied at the next boot."
	if script := "/etc/sysconfig/modules/nf_conntrack.modules"; h.Tree.Exists("/etc/sysconfig/modules") {
		return []string{`printf '#!/bin/sh\nexec /sbin/modprobe nf_conntrack\n' > ` + script + " && chmod 755 " + script}, inTime
	}
	return []string{"echo nf_conntrack >> /etc/modules"}, inTime
}

func joinCommands(first, second string) string {
	if first == "" {
		return second
	}
	return first + " && " + second
}

// checkNotRead are, file by file, the lines that look like settings and that
// nothing on this host applies, and not because another line comes later.
func checkNotRead(h *picture.Host) []finding.Finding {
	var found []finding.Finding
	byFile := map[string][]inventory.Assignment{}
	for _, a := range h.Inventory.Assignments {
		_, overtaken := h.Overtaker(a)
		hidden := strings.HasPrefix(a.NoEffect, "hidden by ") // as somebody wanted it
		if !a.FromPersist && a.NoEffect != "" && a.Phase == inventory.AtBoot && !overtaken && !hidden {
			byFile[a.File] = append(byFile[a.File], a)
		}
	}
	for n, file := range slices.Sorted(maps.Keys(byFile)) {
		found = append(found, notRead(h, file, byFile[file], n))
	}
	return found
}

// notRead judges the lines of one file, the nth of them.
func notRead(h *picture.Host, file string, lines []inventory.Assignment, n int) finding.Finding {
	f := finding.Finding{ID: "sysctl-not-read", Severity: finding.Info}
	var keys, why []string
	var wanted []fixes.Entry
	for _, a := range lines {
		f.Evidence = append(f.Evidence, h.AssignmentEvidence(a))
		if !slices.Contains(keys, a.Key) {
			keys = append(keys, a.Key)
		}
		if !slices.Contains(why, a.NoEffect) {
			why = append(why, a.NoEffect)
		}
		if !isSet(h, a.Name) {
			f.Severity = finding.Warning
			if e, ok := fixes.AsEntry(a); ok { // the later line would win
				wanted = append(slices.DeleteFunc(wanted, func(other fixes.Entry) bool { return other[0] == e[0] }), e)
			}
		}
	}
	f.Summary = fmt.Sprintf("%s in %s: without effect, %s", strings.Join(keys, ", "), file, strings.Join(why, "; "))
	if len(wanted) > 0 {
		f.Fix = fixes.Configure(h, "sysctl"+strings.Repeat("-more", n), wanted, nil)
	}
	mute, note := fixes.RemoveAssignment(h, lines[0], func(b inventory.Assignment) bool { return slices.Contains(lines, b) })
	f.Fix, f.Note = append(f.Fix, mute...), note
	return f
}

// isSet reports whether anything on this host gives a setting a value, or the
// configuration asks for it.
func isSet(h *picture.Host, name string) bool {
	_, asked := h.Want(name)
	return asked && h.IsConfigured() || slices.ContainsFunc(h.Inventory.Assignments, func(a inventory.Assignment) bool { return a.Name == name && h.HasEffect(a) })
}

package doctor

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// sysctlTooEarly are the sysctl settings that are applied at boot before the
// module is there, so that nobody applies them.
func sysctlTooEarly(h *Host) []Finding {
	var names []string
	f := Finding{ID: "sysctl-too-early", Severity: Warning}
	for _, a := range h.Inventory.Assignments {
		if !a.TooEarly || a.FromPersist || a.NoEffect != "" || h.holds(a.Name) {
			continue
		}
		f.Evidence = append(f.Evidence, h.line(a))
		if name := kernelName(a); !slices.Contains(names, name) {
			names = append(names, name)
		}
		f.Summary = fmt.Sprintf("%s applies %s before the module is there: %s without effect", a.Tool, strings.Join(names, ", "), areOrIs(len(names)))
	}
	if len(names) == 0 {
		return nil
	}
	if proof := h.logged(refusedSysctl); len(proof) > 0 {
		f.Severity = Error // it is so, and not only to be feared
		f.Evidence = append(f.Evidence, proof...)
	}
	if docker, on := h.dockersRules(); on {
		e := ofSwitch(docker)
		e.Text += ": Docker's rules load the module, after that"
		f.Evidence = append(f.Evidence, e)
	}
	f.Fix, f.Note = h.adopt(names)
	return []Finding{f}
}

// dockersRules is the switch with which Docker makes rules when it starts; they need
// the module and load it.
func (h *Host) dockersRules() (s inventory.ToolOption, on bool) {
	s, there := h.Inventory.ToolOption("docker", "iptables")
	return s, there && s.Value == "true"
}

func areOrIs(n int) string {
	if n == 1 {
		return "it is"
	}
	return "they are"
}

// refusedSysctl knows the messages of systemd-sysctl and sysctl(8) about a key of
// a module that is not there.
func refusedSysctl(text string) bool {
	missing := strings.Contains(text, "No such file or directory")
	return missing && strings.Contains(text, "nf_conntrack") && (strings.Contains(text, "Couldn't write") || strings.Contains(text, "cannot stat /proc/sys/"))
}

// adopt gives the commands that make ctkeeper the one who sets these settings.
func (h *Host) adopt(names []string) (fix []string, note string) {
	asked := true
	for _, a := range h.Inventory.Assignments {
		if _, found := h.want(a.Name); slices.Contains(names, kernelName(a)) && !found {
			asked = false
		}
	}
	command := importWrite
	if asked && len(h.Config.Files) > 0 {
		command = ""
	}
	switch {
	case !h.Place.Systemd:
		return h.loadEarly()
	case !h.Place.Installed:
		return []string{both(command, "ctkeeper persist --udev")}, "udev then applies them whenever the module is loaded."
	case !h.Place.Enabled:
		command = both(command, "systemctl enable --now ctkeeper")
	case command == "":
		command = "systemctl restart ctkeeper"
	}
	return []string{command}, "ctkeeper then sets them whenever the module is loaded."
}

// loadEarly gives the command that loads the module before an init without systemd
// applies sysctl settings: rc.sysinit runs its scripts, OpenRC reads /etc/modules.
func (h *Host) loadEarly() (fix []string, note string) {
	const inTime = "The module is then loaded before the settings are applied at the next boot."
	if script := "/etc/sysconfig/modules/nf_conntrack.modules"; h.Tree.Exists("/etc/sysconfig/modules") {
		return []string{`printf '#!/bin/sh\nexec /sbin/modprobe nf_conntrack\n' > ` + script + " && chmod 755 " + script}, inTime
	}
	return []string{"echo nf_conntrack >> /etc/modules"}, inTime
}

func both(first, second string) string {
	if first == "" {
		return second
	}
	return first + " && " + second
}

// sysctlNotRead are, file by file, the lines that look like settings and that
// nothing on this host applies, and not because another line comes later.
func sysctlNotRead(h *Host) []Finding {
	var found []Finding
	byFile := map[string][]inventory.Assignment{}
	for _, a := range h.Inventory.Assignments {
		_, overtaken := h.overtaker(a)
		hidden := strings.HasPrefix(a.NoEffect, "hidden by ") // as somebody wanted it
		if !a.FromPersist && a.NoEffect != "" && a.Phase == inventory.AtBoot && !overtaken && !hidden {
			byFile[a.File] = append(byFile[a.File], a)
		}
	}
	for n, file := range sorted(byFile) {
		found = append(found, h.notRead(file, byFile[file], n))
	}
	return found
}

// notRead judges the lines of one file, the nth of them.
func (h *Host) notRead(file string, lines []inventory.Assignment, n int) Finding {
	f := Finding{ID: "sysctl-not-read", Severity: Info}
	var keys, why []string
	var wanted []entry
	for _, a := range lines {
		f.Evidence = append(f.Evidence, h.line(a))
		if !slices.Contains(keys, a.Key) {
			keys = append(keys, a.Key)
		}
		if !slices.Contains(why, a.NoEffect) {
			why = append(why, a.NoEffect)
		}
		if !h.given(a.Name) {
			f.Severity = Warning
			if e, ok := asEntry(a); ok { // the later line would win
				wanted = append(slices.DeleteFunc(wanted, func(other entry) bool { return other.key == e.key }), e)
			}
		}
	}
	f.Summary = fmt.Sprintf("%s in %s: without effect, %s", strings.Join(keys, ", "), file, strings.Join(why, "; "))
	if len(wanted) > 0 {
		f.Fix = h.configure("sysctl"+strings.Repeat("-more", n), wanted, nil)
	}
	mute, note := h.silence(lines[0], func(b inventory.Assignment) bool { return slices.Contains(lines, b) })
	f.Fix, f.Note = append(f.Fix, mute...), note
	return f
}

// given reports whether anything on this host gives a setting a value, or the
// configuration asks for it.
func (h *Host) given(name string) bool {
	_, asked := h.want(name)
	return asked && h.configured() || slices.ContainsFunc(h.Inventory.Assignments, func(a inventory.Assignment) bool { return a.Name == name && h.acts(a) })
}

// asEntry is an assignment as a key of the configuration, if it can be one.
func asEntry(a inventory.Assignment) (entry, bool) {
	s := sysfs.Lookup(a.Name)
	value, err := strconv.ParseInt(a.Value, 10, 64)
	if s == nil || s.Kind == sysfs.Text || sysfs.ReadOnly(a.Name) || err != nil || value < s.Min || value > s.Max {
		return entry{}, false
	}
	return entry{s.Name, strconv.FormatInt(value, 10)}, true
}

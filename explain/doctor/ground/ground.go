package ground

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// Check returns the findings of this topic.
func Check(h *picture.Host) []finding.Finding {
	return h.Run(checkPlatform, checkKeys, checkLines)
}

// checkPlatform reports a container, or a system with ways of its own, if something is set or loaded here.
func checkPlatform(h *picture.Host) []finding.Finding {
	p := h.Distro.Platform
	f := finding.Finding{ID: "platform", Severity: finding.Info, Evidence: h.PlatformEvidence()}
	isNeeded := len(h.Inventory.Assignments)+len(h.Inventory.DeadLines)+len(h.Inventory.EarlyLoads) > 0
	switch {
	case h.IsContainer() && (isNeeded || h.Module.State == kmod.Absent):
		f.Summary = "this is a container (" + p.Container + "): its kernel is that of its host"
		f.Note = "The administrator or provider of the host loads modules and sets hashsize, max and expect_max. " +
			"What this container's files say about them has no effect."
	case h.IsContainer() || p.Name == "" || !isNeeded:
		return nil
	case p.Generator != "":
		f.Summary = "this is " + p.Name + ": the files below /etc are made from " + p.Generator
		f.Note = instructions(h)
	case p.LoadModule+p.SetSysctl+p.AddArgument != "":
		f.Summary = "this is " + p.Name + ": its kernel comes from " + p.Kernel
		f.Note = instructions(h)
	default:
		return nil
	}
	return []finding.Finding{f}
}

// instructions returns where a system configures what other hosts have in files.
func instructions(h *picture.Host) string {
	p := h.Distro.Platform
	var all []string
	for _, way := range [][2]string{
		{"A module that is loaded at boot: ", p.LoadModule}, {"A sysctl: ", p.SetSysctl},
		{"A kernel argument: ", p.AddArgument},
	} {
		if way[1] != "" {
			all = append(all, way[0]+way[1]+".")
		}
	}
	if p.RenderTarget != "" && h.IsConfigured() && !h.Config.UsesDefault {
		all = append(all, "ctkeeper render "+p.RenderTarget+" prints these for ctkeeper's configuration.")
	}
	return strings.Join(all, " ")
}

// checkKeys reports the lines whose sysctl key this kernel does not have, file by file. It is a warning where
// nothing else sets what such a line means.
func checkKeys(h *picture.Host) []finding.Finding {
	var found []finding.Finding
	for _, d := range h.Inventory.DeadLines {
		if d.Key == "" {
			continue
		}
		severity := finding.Info
		if isLost(h, d) {
			severity = finding.Warning
		}
		i := slices.IndexFunc(found, func(f finding.Finding) bool {
			return f.Severity == severity && f.Evidence[0].File == d.File
		})
		if i < 0 {
			found = append(found, finding.Finding{
				ID: "wrong-key", Severity: severity,
				Summary: "this kernel does not have sysctl keys that are set in " + d.File,
			})
			i = len(found) - 1
		}
		f := &found[i]
		f.Evidence = append(f.Evidence, finding.At(d.Place, keyText(h, d)))
		if severity == finding.Warning {
			f.Note = "Write the right key, and look at the value: it was never in effect."
		}
	}
	return found
}

// keyText returns a line and what is wrong with its key.
func keyText(h *picture.Host, d inventory.DeadLine) string {
	why := d.Why
	if d.Right != "" {
		why += "; the right key is " + d.Right
	}
	return quote(h, d, why)
}

// isLost reports whether nothing sets what a line with a wrong key means, and the live value is another one.
func isLost(h *picture.Host, d inventory.DeadLine) bool {
	s := sysfs.Lookup(d.Name)
	if s == nil || h.IsContainer() {
		return false
	}
	if _, wanted := h.Want(d.Name); wanted && h.IsConfigured() {
		return false
	}
	isSet := slices.ContainsFunc(h.Inventory.Assignments, func(a inventory.Assignment) bool {
		return a.Name == d.Name && a.NoEffect == ""
	})
	live, known := h.Settings[d.Name]
	return !isSet && !(known && s.Shows(s.Parse(live), d.Value))
}

// checkLines reports the lines that nothing reads or runs, or that do nothing here. It is a warning where one
// of them was meant to load the module and a setting that is lost without it differs.
func checkLines(h *picture.Host) []finding.Finding {
	f := finding.Finding{ID: "dead-line", Severity: finding.Info}
	var files []string
	loads := false
	for _, d := range h.Inventory.DeadLines {
		if d.Key != "" {
			continue
		}
		files = append(files, d.File)
		loads = loads || d.Loads
		f.Evidence = append(f.Evidence, finding.At(d.Place, quote(h, d, d.Why)))
	}
	if len(f.Evidence) == 0 {
		return nil
	}
	files = finding.Unique(files)
	f.Summary = fmt.Sprintf("%d lines about nf_conntrack do nothing on this host, in %s", len(f.Evidence),
		finding.List(files[:min(len(files), 3)]))
	if len(f.Evidence) == 1 {
		f.Summary = "a line about nf_conntrack does nothing on this host, in " + files[0]
	}
	if loads && isEarlyLost(h) && !h.IsContainer() {
		f.Severity = finding.Warning
		f.Note = "Nothing loads the module before the sysctl files are applied: this line was meant to."
	}
	return []finding.Finding{f}
}

// isEarlyLost reports whether the live value of a setting is not the one that a file sets too early.
func isEarlyLost(h *picture.Host) bool {
	return slices.ContainsFunc(h.Inventory.Assignments, func(a inventory.Assignment) bool {
		s := sysfs.Lookup(a.Name)
		live, known := h.Settings[a.Name]
		return a.TooEarly && a.NoEffect == "" && s != nil && known && !s.Shows(s.Parse(live), a.Value)
	})
}

// quote returns a line as it is written, and why it has no effect.
func quote(h *picture.Host, d inventory.DeadLine, why string) string {
	if line := h.Quote(d.Place); line != "" {
		return line + " (" + why + ")"
	}
	return why
}

package guard

import (
	"path"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/fixes"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/host/change"
	"github.com/ctkeeper/ctkeeper/host/mountinfo"
	"github.com/ctkeeper/ctkeeper/reconcile"
)

const (
	capBPF      = "CAP_BPF"
	unitDropIns = picture.OwnUnitDir + "/" + picture.UnitName + ".d"
)

// Check returns the findings of this topic. There are none where the guard is not configured, or where
// nothing runs that could load it. A kernel that is too old is the only finding: the rest does not matter
// then.
func Check(h *picture.Host) []finding.Finding {
	if h.Config == nil || h.Offline || h.Config.Guard.Mode == "" || h.Config.Guard.Mode == config.GuardOff {
		return nil
	}
	found := checkKernel(h)
	if len(found) == 0 {
		found = h.Run(checkCgroup, checkPrivileges, checkStrict)
	}
	return append(found, checkLockdown(h)...)
}

// checkKernel reports a kernel that cannot run the guard's programs.
func checkKernel(h *picture.Host) []finding.Finding {
	f := finding.Finding{
		ID: "guard-kernel", Severity: finding.Warning, Evidence: []finding.Evidence{h.GuardLine()},
		Note: "ctkeeper enforces the settings without the guard. Boot another kernel, or remove the line from the " +
			"configuration.",
	}
	switch {
	case h.BPF.IsOld():
		f.Summary = "the guard cannot run: this kernel has no " + capBPF +
			" and no BPF ring buffer, which came with Linux 5.8"
		f.Evidence = append(f.Evidence, finding.Seen(picture.LastCapFile, 0, strconv.Itoa(h.BPF.LastCap)))
	case len(h.BPF.NotBuilt) > 0:
		f.Summary = "the guard cannot run: this kernel was built without BPF programs on control groups"
		f.Evidence = append(f.Evidence, h.BPF.NotBuilt...)
	default:
		return nil
	}
	return []finding.Finding{f}
}

// checkCgroup reports a host without a cgroup v2 tree.
func checkCgroup(h *picture.Host) []finding.Finding {
	if !h.BPF.MountsRead || h.BPF.Unified.Text != "" {
		return nil
	}
	f := finding.Finding{
		ID: "guard-cgroup", Severity: finding.Warning, Summary: "the guard cannot run: no cgroup v2 tree is mounted",
		Evidence: []finding.Evidence{h.GuardLine(), finding.Seen(mountinfo.File, 0, "has no cgroup2")},
	}
	if h.BPF.Legacy.Text != "" {
		f.Evidence[1] = h.BPF.Legacy
		f.Summary = "the guard cannot run: only cgroup v1 is mounted"
	}
	const argument = "systemd.unified_cgroup_hierarchy"
	switch {
	case h.IsContainer():
		f.Evidence = append(f.Evidence, h.ContainerEvidence()...)
		f.Note = "Run ctkeeper on the host, or give its container the host's tree " +
			"(docker run --cgroupns host -v /sys/fs/cgroup:/sys/fs/cgroup:ro)."
		return []finding.Finding{f}
	case !h.Env.Systemd:
		f.Note = "Let the init system mount it: " +
			"OpenRC does so at boot with rc_cgroup_mode=\"unified\" or \"hybrid\" in /etc/rc.conf."
		return []finding.Finding{f}
	}
	var remove []string
	if value, found := h.CommandLine.Value(argument); found {
		f.Evidence = append(f.Evidence, finding.Seen(picture.CommandLineFile, 0, argument+"="+value))
		remove = []string{argument + "=" + value}
	}
	f.Fix = append(h.Boot.Change(remove, []string{argument + "=1"}), fixes.Reboot(h))
	f.Note = "The kernel needs the argument " + argument + "=1. " +
		"Update container engines that support only cgroup v1 first."
	return []finding.Finding{f}
}

// checkPrivileges reports a service that does not get CAP_BPF and the bpf system call. systemd omits
// from the ambient set what its own bounding set does not have.
func checkPrivileges(h *picture.Host) []finding.Finding {
	if !h.Env.Systemd || !h.Env.Installed || h.Env.Masked {
		return nil
	}
	p := readPrivileges(h.Env.Overrides)
	f := finding.Finding{
		ID: "guard-rights", Severity: finding.Warning, Evidence: []finding.Evidence{h.GuardLine()},
		Summary: "the guard cannot run: ctkeeper's service does not have the privileges for it",
	}
	switch {
	case h.BPF.LacksCapability(unix.CAP_BPF): // the drop-in does not help
		f.Summary = "the guard cannot run: nothing here can have " + capBPF
		f.Evidence = append(f.Evidence, finding.Seen(picture.InitStatusFile, 0, "CapBnd: without "+capBPF))
		f.Evidence = append(f.Evidence, h.ContainerEvidence()...)
		f.Note = "The container's manager removed it: add it again, or run ctkeeper on the host."
	case p.capabilities.Has(capBPF) && p.hasCall:
		return nil
	case hasFile(p.lines, picture.GuardConf):
		f.Evidence = append(f.Evidence, p.lines...)
		f.Note = "guard.conf grants the privileges, and other lines remove them again."
	default:
		f.Evidence = append(f.Evidence, finding.Seen(unitDropIns+"/"+picture.GuardConf, 0, "does not exist"))
		f.Fix = []finding.Step{change.Run("ctkeeper", "guard", "on")}
		f.Note = "It writes that file, which explains what the privileges are for, and what they cost."
	}
	return []finding.Finding{f}
}

// checkStrict reports a kernel that takes the writes that guard: hold absorbs, now or after the next boot: where
// kernel.sysctl_writes_strict is not 1, it ignores the offset of a write (proc_first_pos_non_zero_ignore).
func checkStrict(h *picture.Host) []finding.Finding {
	const name = "kernel.sysctl_writes_strict"
	evidence, fix := fixes.RemoveSysctl(h, name, func(value string) bool { return value != "1" })
	live := h.BPF.WritesStrict
	isNow := live != "" && live != "1"
	if h.Config.Guard.Mode != config.GuardHold || h.Config.Mode != reconcile.Enforce || !isNow && len(evidence) == 0 {
		return nil
	}
	f := finding.Finding{
		ID: "guard-hold-strict", Severity: finding.Warning, Evidence: []finding.Evidence{h.GuardLine()},
		Summary: "guard: hold will only watch after the next boot: " + name + " will not be 1",
		Note:    "1 is the kernel's default.",
	}
	if isNow {
		f.Summary = "guard: hold only watches: " + name + " is " + live + ", and hold needs 1"
		f.Evidence = append(f.Evidence, finding.Seen(picture.WritesStrictFile, 0, live))
		fix = append(fix, change.WriteFile(picture.WritesStrictFile, "1"))
		if len(evidence) == 0 {
			f.Note += " No sysctl file of this host sets another value: a program wrote it, and can do so again."
		}
	}
	f.Evidence, f.Fix = append(f.Evidence, evidence...), fix
	return []finding.Finding{f}
}

// hasFile reports whether a line is from a file of that name.
func hasFile(lines []finding.Evidence, name string) bool {
	for _, line := range lines {
		if path.Base(line.File) == name {
			return true
		}
	}
	return false
}

// checkLockdown reports a kernel that lets no program read its memory.
func checkLockdown(h *picture.Host) []finding.Finding {
	if h.BPF.Confidential.Text == "" {
		return nil
	}
	return []finding.Finding{{
		ID: "guard-lockdown", Severity: finding.Info, Evidence: []finding.Evidence{h.GuardLine(), h.BPF.Confidential},
		Summary: "the kernel is locked down: the guard cannot report who loads the module, nor who writes hashsize " +
			"through sysfs",
		Note: "guard-perfmon.conf helps here only where the kernel does not report a writer's command without it; " +
			"ctkeeper status shows what the guard can report.",
	}}
}

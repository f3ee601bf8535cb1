package guard

import (
	"path"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/fixes"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/host/mountinfo"
)

const capBPF = "CAP_BPF"

const capPerfmon = "CAP_PERFMON"

const unitDropIns = picture.OwnUnitDir + "/" + picture.UnitName + ".d"

// Check returns the findings of this topic.
func Check(h *picture.Host) []finding.Finding {
	return h.Run(checkKernel, checkCgroup, checkRights, checkLockdown)
}

// checkKernel finds a kernel that has not what the guard's programs are made of.
func checkKernel(h *picture.Host) []finding.Finding {
	line, asked := h.GuardEvidence()
	f := finding.Finding{ID: "guard-kernel", Severity: finding.Warning, Evidence: []finding.Evidence{line}}
	switch {
	case !asked:
		return nil
	case h.BPF.IsOld():
		f.Summary = "the guard cannot be had: this kernel has no " + capBPF + " and no ring buffer, which came with Linux 5.8"
		f.Evidence = append(f.Evidence, finding.Seen(picture.LastCapFile, 0, strconv.Itoa(h.BPF.LastCap)))
	case len(h.BPF.NotBuilt) > 0:
		f.Summary = "the guard cannot be had: this kernel was built without BPF programs on control groups"
		f.Evidence = append(f.Evidence, h.BPF.NotBuilt...)
	default:
		return nil
	}
	f.Note = "ctkeeper keeps the settings without it. Boot another kernel, or take the line out of the configuration."
	return []finding.Finding{f}
}

// checkCgroup finds a host without a cgroup v2 tree.
func checkCgroup(h *picture.Host) []finding.Finding {
	line, asked := h.GuardEvidence()
	if !asked || !h.BPF.Mounts || h.BPF.Unified.Text != "" || len(checkKernel(h)) > 0 {
		return nil
	}
	f := finding.Finding{
		ID: "guard-cgroup", Severity: finding.Warning, Evidence: []finding.Evidence{line, finding.Seen(mountinfo.File, 0, "has no cgroup2")},
		Summary: "the guard cannot be had: no cgroup v2 tree is mounted",
	}
	if h.BPF.Legacy.Text != "" {
		f.Evidence[1] = h.BPF.Legacy
		f.Summary = "the guard cannot be had: control groups are mounted as version 1 alone"
	}
	const name = "systemd.unified_cgroup_hierarchy"
	switch {
	case h.IsContainer():
		f.Evidence = append(f.Evidence, h.ContainerEvidence()...)
		f.Note = "Run ctkeeper on the host, or give its container the host's tree (docker run --cgroupns host -v /sys/fs/cgroup:/sys/fs/cgroup:ro)."
		return []finding.Finding{f}
	case !h.Env.Systemd:
		f.Note = "Have the init system mount it: OpenRC does so with rc_cgroup_mode=\"unified\" or \"hybrid\" in /etc/rc.conf, at the next boot."
		return []finding.Finding{f}
	}
	if value, given := h.CommandLine.Value(name); given {
		f.Evidence = append(f.Evidence, finding.Seen(picture.CommandLineFile, 0, name+"="+value))
		_, f.Fix = h.Distro.RemoveKernelArgument(h.Tree, name+"="+value)
	}
	f.Note = "Container engines that know version 1 alone have to be updated before."
	if _, add := h.Distro.AddKernelArgument(h.Tree, name+"=1"); len(add) > 0 {
		f.Fix = append(finding.Unique(append(f.Fix, add...)), fixes.Reboot(h))
	} else {
		f.Fix, f.Note = nil, "Add "+name+"=1 to the kernel command line, and reboot. "+f.Note
	}
	return []finding.Finding{f}
}

// checkRights finds a service that does not get CAP_BPF and the system call. systemd leaves
// out of the ambient set what its own bounding set does not have.
func checkRights(h *picture.Host) []finding.Finding {
	p, r := h.Env, readRights(h.Env.Overrides)
	line, asked := h.GuardEvidence()
	if !asked || !p.Systemd || !p.Installed || p.Masked || len(checkKernel(h)) > 0 {
		return nil
	}
	f := finding.Finding{
		ID: "guard-rights", Severity: finding.Warning, Evidence: []finding.Evidence{line},
		Summary: "the guard cannot be had: ctkeeper's service does not have the rights for it",
	}
	given, source := unitDropIns+"/"+picture.GuardConf, h.BPF.Shares[picture.GuardConf]
	switch {
	case h.BPF.LacksCapability(unix.CAP_BPF): // with and without the drop-in
		f.Summary = "the guard cannot be had: nothing here may have " + capBPF
		f.Evidence = append(append(f.Evidence, finding.Seen(picture.InitStatusFile, 0, "CapBnd: without "+capBPF)), h.ContainerEvidence()...)
		f.Note = "What runs this container took it away: give it back, or run ctkeeper on the host."
	case r.has(capBPF) && r.call:
		return nil
	case len(filesNamed(r.lines, picture.GuardConf)) > 0:
		f.Evidence = append(f.Evidence, r.lines...)
		f.Note = "guard.conf gives the rights, and other lines take them away again."
	case source == "":
		f.Evidence = append(f.Evidence, finding.Seen("/usr/share/ctkeeper/"+picture.GuardConf, 0, "not there, nor in /usr/local"))
		f.Note = "Install the package again, or run make install in the source: it brings the drop-in with the rights."
	default:
		f.Evidence = append(f.Evidence, finding.Seen(given, 0, "not there"))
		f.Fix = append([]string{"install -D -m 0644 -t " + unitDropIns + " " + source}, restartService()...)
		f.Note = source + " says what the rights are good for, and what they cost."
	}
	return []finding.Finding{f}
}

// restartService are the commands after a change of the unit.
func restartService() []string {
	return []string{"systemctl daemon-reload", "systemctl restart ctkeeper"}
}

// filesNamed are the files of a name that lines are from.
func filesNamed(lines []finding.Evidence, name string) []string {
	var files []string
	for _, line := range lines {
		if path.Base(line.File) == name {
			files = append(files, line.File)
		}
	}
	return finding.Unique(files)
}

// checkLockdown finds a kernel that lets no program read its memory.
func checkLockdown(h *picture.Host) []finding.Finding {
	line, asked := h.GuardEvidence()
	if !asked || h.BPF.Confidential.Text == "" {
		return nil
	}
	return []finding.Finding{{
		ID: "guard-lockdown", Severity: finding.Info, Evidence: []finding.Evidence{line, h.BPF.Confidential},
		Summary: "the kernel is locked down: the guard cannot tell who loads the module, nor who writes hashsize through sysfs",
		Note:    "guard-perfmon.conf is of use here only where the kernel tells no command of a writer without it; ctkeeper status says what is told.",
	}}
}

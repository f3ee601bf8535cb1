package doctor

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

const (
	capBPF     = "CAP_BPF"
	capPerfmon = "CAP_PERFMON"
	// guardConf and perfmonConf are the drop-ins that the package brings.
	guardConf   = "guard.conf"
	perfmonConf = "guard-perfmon.conf"
	unitDropIns = ownUnitDir + "/" + unitName + ".d"

	kubeProxy     = "kube-proxy"
	kubeProxyUnit = kubeProxy + ".service"
)

// guardChecks ask whether the guard can be had where it is asked for, and what its lock
// would break.
func guardChecks() []check {
	return []check{guardKernel, guardCgroup, guardRightless, guardLockdown, lockBreaks}
}

// guarded is the line that asks for the guard; false where none does, or where nothing runs
// that could have one.
func (h *Host) guarded() (Evidence, bool) {
	if h.Config == nil || h.Offline || h.Config.Guard.Mode == "" || h.Config.Guard.Mode == config.GuardOff {
		return Evidence{}, false
	}
	return h.guardLine(), true
}

func (h *Host) guardLine() Evidence {
	return Evidence{placeOf(h.Config.Origins["guard.mode"]), "guard: " + string(h.Config.Guard.Mode)}
}

// guardKernel finds a kernel that has not what the guard's programs are made of.
func guardKernel(h *Host) []Finding {
	line, asked := h.guarded()
	f := Finding{ID: "guard-kernel", Severity: Warning, Evidence: []Evidence{line}}
	switch {
	case !asked:
		return nil
	case h.BPF.old():
		f.Summary = "the guard cannot be had: this kernel has no " + capBPF + " and no ring buffer, which came with Linux 5.8"
		f.Evidence = append(f.Evidence, seen(lastCap, 0, strconv.Itoa(h.BPF.LastCap)))
	case len(h.BPF.NotBuilt) > 0:
		f.Summary = "the guard cannot be had: this kernel was built without BPF programs on control groups"
		f.Evidence = append(f.Evidence, h.BPF.NotBuilt...)
	default:
		return nil
	}
	f.Note = "ctkeeper keeps the settings without it. Boot another kernel, or take the line out of the configuration."
	return []Finding{f}
}

// guardCgroup finds a host without a cgroup v2 tree.
func guardCgroup(h *Host) []Finding {
	line, asked := h.guarded()
	if !asked || !h.BPF.Mounts || h.BPF.Unified.Text != "" || len(guardKernel(h)) > 0 {
		return nil
	}
	f := Finding{
		ID: "guard-cgroup", Severity: Warning, Evidence: []Evidence{line, seen(mountinfo, 0, "has no cgroup2")},
		Summary: "the guard cannot be had: no cgroup v2 tree is mounted",
	}
	if h.BPF.Legacy.Text != "" {
		f.Evidence[1] = h.BPF.Legacy
		f.Summary = "the guard cannot be had: control groups are mounted as version 1 alone"
	}
	const name = "systemd.unified_cgroup_hierarchy"
	switch {
	case h.contained():
		f.Evidence = append(f.Evidence, h.inContainer()...)
		f.Note = "Run ctkeeper on the host, or give its container the host's tree (docker run --cgroupns host -v /sys/fs/cgroup:/sys/fs/cgroup:ro)."
		return []Finding{f}
	case !h.Place.Systemd:
		f.Note = "Have the init system mount it: OpenRC does so with rc_cgroup_mode=\"unified\" or \"hybrid\" in /etc/rc.conf, at the next boot."
		return []Finding{f}
	}
	if value, given := h.CommandLine.Value(name); given {
		f.Evidence = append(f.Evidence, seen(cmdline, 0, name+"="+value))
		_, f.Fix = h.Distro.RemoveKernelArgument(h.Tree, name+"="+value)
	}
	f.Note = "Container engines that know version 1 alone have to be updated before."
	if _, add := h.Distro.AddKernelArgument(h.Tree, name+"=1"); len(add) > 0 {
		f.Fix = append(unique(append(f.Fix, add...)), h.reboot())
	} else {
		f.Fix, f.Note = nil, "Add "+name+"=1 to the kernel command line, and reboot. "+f.Note
	}
	return []Finding{f}
}

// guardRightless finds a service that does not get CAP_BPF and the system call. systemd leaves
// out of the ambient set what its own bounding set does not have.
func guardRightless(h *Host) []Finding {
	p, r := h.Place, guardRights(h.Place.Overrides)
	line, asked := h.guarded()
	if !asked || !p.Systemd || !p.Installed || p.Masked || len(guardKernel(h)) > 0 {
		return nil
	}
	f := Finding{
		ID: "guard-rights", Severity: Warning, Evidence: []Evidence{line},
		Summary: "the guard cannot be had: ctkeeper's service does not have the rights for it",
	}
	given, source := unitDropIns+"/"+guardConf, h.BPF.Shares[guardConf]
	switch {
	case h.BPF.barred(unix.CAP_BPF): // with and without the drop-in
		f.Summary = "the guard cannot be had: nothing here may have " + capBPF
		f.Evidence = append(append(f.Evidence, seen(initStatus, 0, "CapBnd: without "+capBPF)), h.inContainer()...)
		f.Note = "What runs this container took it away: give it back, or run ctkeeper on the host."
	case r.has(capBPF) && r.call:
		return nil
	case len(from(r.lines, guardConf)) > 0:
		f.Evidence = append(f.Evidence, r.lines...)
		f.Note = "guard.conf gives the rights, and other lines take them away again."
	case source == "":
		f.Evidence = append(f.Evidence, seen("/usr/share/ctkeeper/"+guardConf, 0, "not there, nor in /usr/local"))
		f.Note = "Install the package again, or run make install in the source: it brings the drop-in with the rights."
	default:
		f.Evidence = append(f.Evidence, seen(given, 0, "not there"))
		f.Fix = append([]string{"install -D -m 0644 -t " + unitDropIns + " " + source}, restarted()...)
		f.Note = source + " says what the rights are good for, and what they cost."
	}
	return []Finding{f}
}

// restarted are the commands after a change of the unit.
func restarted() []string { return []string{"systemctl daemon-reload", "systemctl restart ctkeeper"} }

// from are the files of a name that lines are from.
func from(lines []Evidence, name string) []string {
	var files []string
	for _, line := range lines {
		if path.Base(line.File) == name {
			files = append(files, line.File)
		}
	}
	return unique(files)
}

// guardLockdown finds a kernel that lets no program read its memory.
func guardLockdown(h *Host) []Finding {
	line, asked := h.guarded()
	if !asked || h.BPF.Confidential.Text == "" {
		return nil
	}
	return []Finding{{
		ID: "guard-lockdown", Severity: Info, Evidence: []Evidence{line, h.BPF.Confidential},
		Summary: "the kernel is locked down: the guard cannot tell who loads the module, nor who writes hashsize through sysfs",
		Note:    "guard-perfmon.conf is of use here only where the kernel tells no command of a writer without it; ctkeeper status says what is told.",
	}}
}

// locks reports whether the guard is asked to refuse an assignment that the configuration is
// not content with.
func (h *Host) locks(a inventory.Assignment) bool {
	s := sysfs.Lookup(a.Name)
	return h.Config != nil && h.Config.Guard.Mode == config.GuardLock && h.Config.Mode == config.Enforce &&
		s != nil && s.Global && !a.Parameter && (a.Name != hashsize || strings.HasSuffix(a.Key, "nf_conntrack_buckets")) // else it is sysfs
}

// lockBreaks finds programs that end when they are refused what they set: kube-proxy does
// (setupConntrack takes a read-only /sys alone in its stride). The others say so and go on.
func lockBreaks(h *Host) []Finding {
	var found []Finding
	for _, a := range h.Inventory.Assignments {
		asked, s := h.stance(a)
		if a.Tool != kubeProxy || s != opposed || !h.locks(a) || !h.acts(a) || h.allowsKubeProxy() {
			continue
		}
		f := Finding{
			ID: "guard-lock-owner", Severity: Warning,
			Summary: fmt.Sprintf("with guard: lock kube-proxy does not start: it sets %s to %s, ctkeeper wants %s, and it ends when it may not",
				kernelName(a), a.Value, asked),
			Evidence: append([]Evidence{h.guardLine(), h.line(a)}, h.askedBy(a)...),
		}
		const leave = "Have it leave the limit alone: conntrack.maxPerCore: 0 in its configuration, or --conntrack-max-per-core=0"
		if h.isUnit(kubeProxyUnit) {
			f.Fix = []string{h.allow(kubeProxyUnit), h.enforce()}
			f.Note = "Then it writes its value when it starts, and ctkeeper writes it back. Or better: " + strings.ToLower(leave[:1]) + leave[1:] + "."
		} else {
			f.Note = leave + "; of a pod in the ConfigMap kube-proxy of kube-system, then restart its pods. Or let all pods write: guard.allow: [kubepods.slice]."
		}
		found = append(found, f)
	}
	return found
}

// isUnit reports whether the host has a unit.
func (h *Host) isUnit(name string) bool {
	return slices.ContainsFunc(unitDirs(), func(dir string) bool { return h.Tree.Exists(path.Join(dir, name)) })
}

// allowsKubeProxy reports whether guard.allow names where kube-proxy runs.
func (h *Host) allowsKubeProxy() bool {
	unit := h.isUnit(kubeProxyUnit)
	return slices.ContainsFunc(h.Config.Guard.Allow, func(name string) bool {
		if unit {
			return name == kubeProxyUnit || name == "system.slice"
		}
		return strings.HasPrefix(name, "kubepods") && strings.HasSuffix(name, ".slice")
	})
}

// allow is the command that lets a unit write, beside those that may already.
func (h *Host) allow(unit string) string {
	units := append(slices.Clone(h.Config.Guard.Allow), unit)
	name := dropInAfter("guard", h.Config.Origins["guard.allow"])
	return "mkdir -p " + configDropIns + ` && printf '%s\n' 'guard:' '  allow: [` + strings.Join(units, ", ") + `]' > ` + quote(path.Join(configDropIns, name))
}

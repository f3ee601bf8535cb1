package self

import (
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/fixes"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/host/change"
	"github.com/ctkeeper/ctkeeper/host/mountinfo"
	"github.com/ctkeeper/ctkeeper/persist"
)

// Check returns the findings of this topic.
func Check(h *picture.Host) []finding.Finding {
	return h.Run(checkCapability, checkNetns, checkReadOnly, checkService, checkUnit, checkConfig, checkDefault,
		checkWarnings)
}

// checkCapability reports that this process cannot write the settings. A process that is not root cannot
// read all of them either, which is not a fault of the host.
func checkCapability(h *picture.Host) []finding.Finding {
	if !h.IsLive() || h.Env.NetAdmin {
		return nil
	}
	f := finding.Finding{
		ID: "no-capability", Severity: finding.Info,
		Summary: "doctor runs without CAP_NET_ADMIN and cannot read everything: run it as root",
	}
	if h.Env.Root {
		f.Severity, f.Summary = finding.Warning, "root has no CAP_NET_ADMIN here: ctkeeper cannot set anything"
		f.Note = "The container or service in which this runs removed it: " +
			"add it again (docker run --cap-add NET_ADMIN), or run ctkeeper on the host."
	}
	missing := finding.Seen("/proc/self/status", 0, "CapEff: without CAP_NET_ADMIN")
	f.Evidence = append([]finding.Evidence{missing}, h.ContainerEvidence()...)
	return []finding.Finding{f}
}

// checkNetns reports a network namespace other than the host's first one.
func checkNetns(h *picture.Host) []finding.Finding {
	if !h.Env.ChildNetns {
		return nil
	}
	missing := finding.Seen("/proc/sys/net/nf_conntrack_max", 0, "does not exist, as in every namespace but the first")
	return []finding.Finding{{
		ID: "child-netns", Severity: finding.Warning,
		Summary:  "this is not the host's initial network namespace: hashsize, max and expect_max cannot be set here",
		Evidence: append([]finding.Evidence{missing}, h.ContainerEvidence()...),
		Note: "Run ctkeeper on the host, or with the host's network (docker run --network host, hostNetwork: true). " +
			"Each namespace has its own values of the other settings.",
	}}
}

// checkReadOnly reports that /proc/sys or /sys cannot be written.
func checkReadOnly(h *picture.Host) []finding.Finding {
	if len(h.Env.ReadOnly) == 0 {
		return nil
	}
	f := finding.Finding{
		ID: "read-only", Severity: finding.Info,
		Summary:  "/sys is read-only: ctkeeper sets hashsize through /proc/sys where the kernel allows it",
		Evidence: append(slices.Clone(h.Env.ReadOnly), h.ContainerEvidence()...),
	}
	isProc := func(e finding.Evidence) bool {
		mounts := mountinfo.Parse(e.Text)
		return len(mounts) > 0 && mounts[0].FSType != "sysfs" && !strings.HasPrefix(mounts[0].Mountpoint, "/sys")
	}
	if slices.ContainsFunc(h.Env.ReadOnly, isProc) {
		f.Severity, f.Summary = finding.Warning, "/proc/sys is read-only here: ctkeeper cannot set anything"
		f.Note = "Run ctkeeper on the host, or give its container the host's /proc/sys/net and use --path.procfs " +
			"(ctkeeper --help)."
	}
	return []finding.Finding{f}
}

const (
	socketFile = "/run/ctkeeper/ctkeeper.sock"
	noAnswer   = "no daemon answers"
)

// checkService reports that nothing enforces the settings, now or after the next boot.
func checkService(h *picture.Host) []finding.Finding {
	e := h.Env
	isRunning, isDown := e.Running != nil && *e.Running, e.Running != nil && !*e.Running
	f := finding.Finding{Severity: finding.Warning, Evidence: h.ContainerEvidence()}
	add := func(file, text string) { f.Evidence = append(f.Evidence, finding.Seen(file, 0, text)) }
	switch {
	case !e.Systemd || h.IsContainer() && !e.Installed:
		if isRunning {
			return nil
		}
		f.ID, f.Severity, f.Summary = "no-systemd", finding.Info, "no systemd runs here that could run ctkeeper"
		if !e.Systemd {
			add("/run/systemd/system", "does not exist")
		}
		f.Note = "Let the init system run \"ctkeeper run\", which stays in the foreground, " +
			"or run \"ctkeeper apply\" at boot and after each load of the module."
	case !e.Installed:
		f.ID, f.Summary = "not-installed", "ctkeeper's unit is not installed: nothing runs it after the next boot"
		if h.Config == nil || h.Config.UsesDefault {
			f.Severity = finding.Info // nobody has asked it to keep anything
		}
		add("/usr/lib/systemd/system/"+picture.UnitName, "does not exist, nor in any other unit directory")
		f.Note = "Install the package, or run make install in the source."
	case e.Masked:
		f.ID, f.Summary = "unit-masked", "ctkeeper's unit is masked: it cannot be started"
		add(picture.OwnUnitDir+"/"+picture.UnitName, "a link to /dev/null")
		f.Fix = []finding.Step{change.Run("systemctl", "unmask", "ctkeeper"), fixes.EnableUnit()}
	case !e.Enabled:
		f.ID, f.Summary = "not-enabled", "ctkeeper is not enabled: it does not start at boot"
		add(picture.OwnUnitDir, "no target has a link to "+picture.UnitName)
		f.Fix = []finding.Step{change.Run("systemctl", "enable", "ctkeeper")}
		if isDown {
			f.Summary = "ctkeeper is not enabled and does not run: nothing enforces the settings"
			add(socketFile, noAnswer)
			f.Fix = []finding.Step{fixes.EnableUnit()}
		}
	case isDown:
		f.ID, f.Severity = "not-running", finding.Error
		f.Summary = "ctkeeper is enabled and does not run: nothing enforces the settings"
		add(socketFile, noAnswer)
		f.Fix = []finding.Step{change.Run("systemctl", "start", "ctkeeper")}
		f.Note = "journalctl -u ctkeeper shows why it stopped."
	default:
		return nil
	}
	if rule := persist.UdevRulePath; f.Severity == finding.Warning && !e.Masked &&
		slices.Contains(h.Inventory.PersistFiles, rule) {
		f.Severity = finding.Info // the administrator chose udev
		add(rule, "sets the values whenever the module is loaded")
	}
	return []finding.Finding{f}
}

package self

import (
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/host/mountinfo"
	"github.com/ctkeeper/ctkeeper/persist"
)

// Check returns the findings of this topic.
func Check(h *picture.Host) []finding.Finding {
	return h.Run(checkCapability, checkNetns, checkReadOnly, checkService, checkUnit, checkConfig, checkDefault, checkWarnings)
}

// checkCapability finds that this process may not write the settings. Without being root
// it also cannot see all of them, which says nothing about the host.
func checkCapability(h *picture.Host) []finding.Finding {
	if !h.Tree.Live() || h.Env.NetAdmin {
		return nil
	}
	f := finding.Finding{ID: "no-capability", Severity: finding.Info, Summary: "doctor runs without CAP_NET_ADMIN, and some things cannot be seen: run it as root"}
	if h.Env.Root {
		f.Severity, f.Summary = finding.Warning, "root has no CAP_NET_ADMIN here: ctkeeper can set nothing"
		f.Note = "The container or service that this runs in took it away: give it back (docker run --cap-add NET_ADMIN), or run ctkeeper on the host."
	}
	f.Evidence = append([]finding.Evidence{finding.Seen("/proc/self/status", 0, "CapEff: without CAP_NET_ADMIN")}, h.ContainerEvidence()...)
	return []finding.Finding{f}
}

// checkNetns finds a network namespace other than the host's first.
func checkNetns(h *picture.Host) []finding.Finding {
	if !h.Env.ChildNetns {
		return nil
	}
	return []finding.Finding{{
		ID: "child-netns", Severity: finding.Warning,
		Summary:  "this is not the host's first network namespace: hashsize, max and expect_max cannot be set here",
		Evidence: append([]finding.Evidence{finding.Seen("/proc/sys/net/nf_conntrack_max", 0, "not there, as in every namespace but the first")}, h.ContainerEvidence()...),
		Note:     "Run ctkeeper on the host, or with the host's network (docker run --network host, hostNetwork: true). The other settings belong to each namespace by itself.",
	}}
}

// checkReadOnly finds that /proc/sys or /sys cannot be written.
func checkReadOnly(h *picture.Host) []finding.Finding {
	if len(h.Env.ReadOnly) == 0 {
		return nil
	}
	f := finding.Finding{
		ID: "read-only", Severity: finding.Info, Summary: "/sys is read-only: ctkeeper sets hashsize through /proc/sys where the kernel lets it",
		Evidence: append(slices.Clone(h.Env.ReadOnly), h.ContainerEvidence()...),
	}
	proc := func(e finding.Evidence) bool {
		mounts := mountinfo.Parse(e.Text)
		return len(mounts) > 0 && !strings.HasPrefix(mounts[0].Mountpoint, "/sys")
	}
	if slices.ContainsFunc(h.Env.ReadOnly, proc) {
		f.Severity, f.Summary = finding.Warning, "/proc/sys is read-only here: ctkeeper can set nothing"
		f.Note = "Run ctkeeper on the host, or give its container a writable /proc/sys (docker run --privileged)."
	}
	return []finding.Finding{f}
}

const socketFile = "/run/ctkeeper/ctkeeper.sock"

const noAnswer = "no daemon answers"

// checkService finds that nobody keeps the settings, now or after the next boot.
func checkService(h *picture.Host) []finding.Finding {
	p := h.Env
	runs, known := p.Running != nil && *p.Running, p.Running != nil
	f := finding.Finding{Severity: finding.Warning, Evidence: h.ContainerEvidence()}
	found := func(file, text string) { f.Evidence = append(f.Evidence, finding.Seen(file, 0, text)) }
	switch {
	case !p.Systemd || p.Container.Text != "" && !p.Installed:
		if runs {
			return nil
		}
		f.ID, f.Severity, f.Summary = "no-systemd", finding.Info, "no systemd runs here that would run ctkeeper"
		if !p.Systemd {
			found("/run/systemd/system", "not there")
		}
		f.Note = "Have the init system run \"ctkeeper run\", which stays in the foreground, or call \"ctkeeper apply\" once at boot and after each load of the module."
	case !p.Installed:
		f.ID, f.Summary = "not-installed", "ctkeeper's unit is not installed: nothing runs it after the next boot"
		found("/usr/lib/systemd/system/"+picture.UnitName, "not there, nor anywhere else that systemd looks")
		f.Note = "Install the package, or run make install in the source."
	case p.Masked:
		f.ID, f.Summary = "unit-masked", "ctkeeper's unit is masked: it cannot be started"
		found(picture.OwnUnitDir+"/"+picture.UnitName, "a link to /dev/null")
		f.Fix = []string{"systemctl unmask ctkeeper", "systemctl enable --now ctkeeper"}
	case !p.Enabled:
		f.ID, f.Summary = "not-enabled", "ctkeeper is not enabled: it does not start at boot"
		found(picture.OwnUnitDir, "no target has a link to "+picture.UnitName)
		f.Fix = []string{"systemctl enable ctkeeper"}
		if known && !runs {
			f.Summary = "ctkeeper is not enabled and does not run: nobody keeps the settings"
			found(socketFile, noAnswer)
			f.Fix = []string{"systemctl enable --now ctkeeper"}
		}
	case known && !runs:
		f.ID, f.Severity, f.Summary = "not-running", finding.Error, "ctkeeper is enabled and does not run: nobody keeps the settings"
		found(socketFile, noAnswer)
		f.Fix = []string{"systemctl start ctkeeper"}
		f.Note = "journalctl -u ctkeeper tells why it stopped."
	default:
		return nil
	}
	if net := persist.UdevRulePath; f.Severity == finding.Warning && !p.Masked && slices.Contains(h.Inventory.PersistFiles, net) {
		f.Severity = finding.Info // as somebody wanted it
		found(net, "sets the values whenever the module is loaded")
	}
	return []finding.Finding{f}
}

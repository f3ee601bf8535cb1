package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/persist"
)

func selfChecks() []check {
	return []check{noCapability, inChildNetns, onReadOnly, serviceState, unitOverridden, configRefused, configAbsent, configWarned}
}

// noCapability finds that this process may not write the settings. Without being root
// it also cannot see all of them, which says nothing about the host.
func noCapability(h *Host) []Finding {
	if !h.Tree.Live() || h.Place.NetAdmin {
		return nil
	}
	f := Finding{ID: "no-capability", Severity: Info, Summary: "doctor runs without CAP_NET_ADMIN, and some things cannot be seen: run it as root"}
	if h.Place.Root {
		f.Severity, f.Summary = Warning, "root has no CAP_NET_ADMIN here: ctkeeper can set nothing"
		f.Note = "The container or service that this runs in took it away: give it back (docker run --cap-add NET_ADMIN), or run ctkeeper on the host."
	}
	f.Evidence = append([]Evidence{seen("/proc/self/status", 0, "CapEff: without CAP_NET_ADMIN")}, h.inContainer()...)
	return []Finding{f}
}

func (h *Host) inContainer() []Evidence {
	if h.Place.Container.Text == "" {
		return nil
	}
	return []Evidence{h.Place.Container}
}

// inChildNetns finds a network namespace other than the host's first.
func inChildNetns(h *Host) []Finding {
	if !h.Place.ChildNetns {
		return nil
	}
	return []Finding{{
		ID: "child-netns", Severity: Warning,
		Summary:  "this is not the host's first network namespace: hashsize, max and expect_max cannot be set here",
		Evidence: append([]Evidence{seen("/proc/sys/net/nf_conntrack_max", 0, "not there, as in every namespace but the first")}, h.inContainer()...),
		Note:     "Run ctkeeper on the host, or with the host's network (docker run --network host, hostNetwork: true). The other settings belong to each namespace by itself.",
	}}
}

// onReadOnly finds that /proc/sys or /sys cannot be written.
func onReadOnly(h *Host) []Finding {
	if len(h.Place.ReadOnly) == 0 {
		return nil
	}
	f := Finding{
		ID: "read-only", Severity: Info, Summary: "/sys is read-only: ctkeeper sets hashsize through /proc/sys where the kernel lets it",
		Evidence: append(slices.Clone(h.Place.ReadOnly), h.inContainer()...),
	}
	proc := func(e Evidence) bool {
		fields := strings.Fields(e.Text) // proc_pid_mountinfo(5): the fifth is the mount point
		return len(fields) > 4 && !strings.HasPrefix(fields[4], "/sys")
	}
	if slices.ContainsFunc(h.Place.ReadOnly, proc) {
		f.Severity, f.Summary = Warning, "/proc/sys is read-only here: ctkeeper can set nothing"
		f.Note = "Run ctkeeper on the host, or give its container a writable /proc/sys (docker run --privileged)."
	}
	return []Finding{f}
}

const (
	socket = "/run/ctkeeper/ctkeeper.sock"
	silent = "no daemon answers"
)

// serviceState finds that nobody keeps the settings, now or after the next boot.
func serviceState(h *Host) []Finding {
	p := h.Place
	runs, known := p.Running != nil && *p.Running, p.Running != nil
	f := Finding{Severity: Warning, Evidence: h.inContainer()}
	found := func(file, text string) { f.Evidence = append(f.Evidence, seen(file, 0, text)) }
	switch {
	case !p.Systemd || p.Container.Text != "" && !p.Installed:
		if runs {
			return nil
		}
		f.ID, f.Severity, f.Summary = "no-systemd", Info, "no systemd runs here that would run ctkeeper"
		if !p.Systemd {
			found("/run/systemd/system", "not there")
		}
		f.Note = "Have the init system run \"ctkeeper run\", which stays in the foreground, or call \"ctkeeper apply\" once at boot and after each load of the module."
	case !p.Installed:
		f.ID, f.Summary = "not-installed", "ctkeeper's unit is not installed: nothing runs it after the next boot"
		found("/usr/lib/systemd/system/"+unitName, "not there, nor anywhere else that systemd looks")
		f.Note = "Install the package, or run make install in the source."
	case p.Masked:
		f.ID, f.Summary = "unit-masked", "ctkeeper's unit is masked: it cannot be started"
		found(ownUnitDir+"/"+unitName, "a link to /dev/null")
		f.Fix = []string{"systemctl unmask ctkeeper", "systemctl enable --now ctkeeper"}
	case !p.Enabled:
		f.ID, f.Summary = "not-enabled", "ctkeeper is not enabled: it does not start at boot"
		found(ownUnitDir, "no target has a link to "+unitName)
		f.Fix = []string{"systemctl enable ctkeeper"}
		if known && !runs {
			f.Summary = "ctkeeper is not enabled and does not run: nobody keeps the settings"
			found(socket, silent)
			f.Fix = []string{"systemctl enable --now ctkeeper"}
		}
	case known && !runs:
		f.ID, f.Severity, f.Summary = "not-running", Error, "ctkeeper is enabled and does not run: nobody keeps the settings"
		found(socket, silent)
		f.Fix = []string{"systemctl start ctkeeper"}
		f.Note = "journalctl -u ctkeeper tells why it stopped."
	default:
		return nil
	}
	if net := persist.UdevRulePath; f.Severity == Warning && !p.Masked && slices.Contains(h.Inventory.PersistFiles, net) {
		f.Severity = Info // as somebody wanted it
		found(net, "sets the values whenever the module is loaded")
	}
	return []Finding{f}
}

// unitOverridden lists what an administrator changed in the unit, and finds what takes
// away from the daemon what it needs.
func unitOverridden(h *Host) []Finding {
	if len(h.Place.Overrides) == 0 {
		return nil
	}
	f := Finding{
		ID: "unit-overridden", Severity: Info, Summary: "ctkeeper's unit is changed by drop-ins",
		Evidence: h.Place.Overrides,
	}
	copied := strings.HasSuffix(h.Place.Overrides[0].File, "/"+unitName)
	if copied {
		f.Summary = "a copy of ctkeeper's unit takes the place of the installed one, and knows nothing of its updates"
	}
	harmed := harms(h.Place.Overrides)
	if len(harmed) == 0 {
		return []Finding{f}
	}
	f.Severity, f.Evidence = Warning, nil
	var why []string
	for _, harm := range harmed {
		why = append(why, harm.why)
		f.Evidence = append(f.Evidence, harm.lines...)
	}
	f.Summary = "ctkeeper's unit is changed so that it cannot work: " + strings.Join(why, "; ")
	if copied {
		f.Evidence = append(f.Evidence, seen(h.Place.Overrides[0].File, 0, "hides the installed unit"))
		f.Fix = []string{"systemctl revert ctkeeper"}
		f.Note = "systemctl revert takes away the copy and all drop-ins."
	} else {
		f.Fix = h.commentOut(f.Evidence)
	}
	f.Fix = append(f.Fix, "systemctl daemon-reload", "systemctl restart ctkeeper")
	return []Finding{f}
}

// configRefused tells everything that is wrong with the configuration.
func configRefused(h *Host) []Finding {
	if h.ConfigErr == nil {
		return nil
	}
	f := Finding{
		ID: "config-refused", Severity: Error, Summary: "the configuration is refused: ctkeeper does not start with it, or keeps the last good one",
		Note: "ctkeeper config check says the same; run it again after each change.",
	}
	wrong := config.Errors(nil)
	if !errors.As(h.ConfigErr, &wrong) {
		f.Evidence = []Evidence{seen(config.DefaultMain, 0, h.ConfigErr.Error())}
		return []Finding{f}
	}
	for _, e := range wrong {
		text := e.Problem
		if e.Key != "" {
			text = e.Key + ": " + text
		}
		if e.Allowed != "" {
			text += " (" + e.Allowed + ")"
		}
		if e.Column > 0 {
			text = fmt.Sprintf("column %d: %s", e.Column, text)
		}
		f.Evidence = append(f.Evidence, seen(strings.TrimPrefix(e.File, h.Tree.Root()), e.Line, text))
	}
	return []Finding{f}
}

// configAbsent tells that the embedded default holds.
func configAbsent(h *Host) []Finding {
	if h.Config == nil || len(h.Config.Files) > 0 {
		return nil
	}
	var asked []string
	for _, w := range h.Config.Wants {
		asked = append(asked, w.Setting.Name+" "+w.String())
	}
	return []Finding{{
		ID: "config-default", Severity: Info, Summary: "there is no configuration: the embedded default holds",
		Evidence: []Evidence{seen(config.DefaultMain, 0, "not there; the default asks for "+strings.Join(asked, ", "))},
		Note:     "ctkeeper import prints a configuration that says what this host has.",
	}}
}

// configWarned passes on what the configuration's reader noticed.
func configWarned(h *Host) []Finding {
	if h.Config == nil || len(h.Config.Warnings) == 0 {
		return nil
	}
	f := Finding{ID: "config-warnings", Severity: Warning, Summary: "the configuration has parts that are not what they look like"}
	for _, text := range h.Config.Warnings {
		f.Evidence = append(f.Evidence, seen(config.DefaultMain, 0, text))
	}
	f.Note = "ctkeeper config show has them beside the values that are in force."
	return []Finding{f}
}

// within is the cause of an error without the path, which stands beside it.
func within(err error) string {
	if wrapped := (*fs.PathError)(nil); errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return err.Error()
}

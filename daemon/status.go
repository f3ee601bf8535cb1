package daemon

import (
	"fmt"
	"strings"
	"time"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// Status is the document behind ctkeeper status (contract 1.3).
type Status struct {
	Daemon   DaemonStatus        `json:"daemon"`
	Module   ModuleStatus        `json:"module"`
	Settings []reconcile.Setting `json:"settings"`
	Table    TableStatus         `json:"table"`
	Guard    GuardStatus         `json:"guard"`
}

// DaemonStatus tells of the daemon itself.
type DaemonStatus struct {
	Running bool `json:"running"`
	// Error is why a daemon that may be running did not answer.
	Error   string         `json:"error,omitempty"`
	PID     int            `json:"pid,omitzero"`
	Version string         `json:"version,omitempty"`
	Since   time.Time      `json:"since,omitzero"`
	Mode    reconcile.Mode `json:"mode"`
	Config  ConfigStatus   `json:"config"`
}

// ConfigStatus tells of the configuration in force.
type ConfigStatus struct {
	OK bool `json:"ok"`
	// Error is why the newest configuration was refused; the last good one is
	// then in force.
	Error string   `json:"error"`
	Files []string `json:"files"`
}

// ModuleStatus tells of nf_conntrack.
type ModuleStatus struct {
	Name  string     `json:"name"`
	State kmod.State `json:"state"`
	// Loads counts the loads that the daemon saw happen.
	Loads int `json:"loads"`
	// Parameters are those of module.parameters that the kernel takes at load alone.
	Parameters []Parameter `json:"parameters"`
}

// Differs reports whether any setting is known not to be as wanted, and Unsure
// whether any could not be told.
func (s Status) Differs() bool { return s.summary().Differs() }

// Unsure reports whether the state of any setting, or what is wanted of it, could
// not be told.
func (s Status) Unsure() bool { return s.summary().Pending > 0 || !s.Daemon.Config.OK }

func (s Status) summary() reconcile.Summary {
	return reconcile.Report{Settings: s.Settings}.Summary()
}

// Desired is what a configuration asks of the keeper.
func Desired(cfg *config.Config) *reconcile.Desired {
	return &reconcile.Desired{Wants: cfg.Wants, Mode: reconcile.Mode(cfg.Mode), Resync: cfg.Resync}
}

// KeeperOptions are those of a keeper of the system below root.
func KeeperOptions(root string, files *sysfs.Files, recorder reconcile.Recorder) reconcile.Options {
	looker := kmod.NewLooker(root, kmod.Conntrack)
	return reconcile.Options{
		Kernel: files, Recorder: recorder, WayOut: files.WayOut, ModuleName: kmod.Conntrack,
		Module: func() reconcile.Module {
			m := looker.Look()
			return reconcile.Module{State: string(m.State), Present: m.State != kmod.Absent, Instance: m.Instance, Settling: m.Settling}
		},
		Count: files.Count,
	}
}

// Look tells how the kernel below root stands to a configuration, without a
// daemon and without writing anything.
func Look(root string, cfg *config.Config) Status {
	files := sysfs.NewReader(root)
	defer func() { _ = files.Close() }() // opened for reading alone
	desired := Desired(cfg)
	desired.Mode = reconcile.Observe
	keeper := reconcile.New(KeeperOptions(root, files, discard{}), desired)
	keeper.Pass(reconcile.Start, time.Now())
	report := keeper.Report()
	for i := range report.Settings {
		report.Settings[i].Drifts, report.Settings[i].LastDrift = 0, nil
	}
	status := statusOf(root, report, cfg)
	status.Table = LookAtTable(root)
	status.Daemon.Mode = reconcile.Mode(cfg.Mode)
	return status
}

func statusOf(root string, report reconcile.Report, cfg *config.Config) Status {
	state := kmod.State(report.Module.State)
	return Status{
		Daemon: DaemonStatus{Mode: report.Mode, Config: ConfigStatus{OK: true, Files: append([]string{}, cfg.Files...)}},
		Module: ModuleStatus{
			Name: kmod.Conntrack, State: state, Loads: report.Loads,
			Parameters: lookAtParameters(tree.At(root), state, wantedParameters(cfg)),
		},
		Settings: report.Settings,
		Guard:    guardOff(cfg.Guard),
	}
}

type discard struct{}

func (discard) Record(reconcile.Event) {}

// statusLine is the one line that systemctl status shows.
func statusLine(s reconcile.Summary, refused error) string {
	parts := []string{fmt.Sprintf("%d of %d settings in force", s.InSync, s.Settings)}
	switch {
	case s.Module.Present:
	case s.InSync == 0:
		parts = []string{"waiting for " + kmod.Conntrack}
	default: // some files are another module's
		parts = append(parts, fmt.Sprintf("%d waiting for %s", s.Pending, kmod.Conntrack))
	}
	for _, p := range []struct {
		n    int
		what string
	}{
		{s.Drifted, "drifted"}, {s.Contested, "contested"}, {s.Forbidden, "forbidden"},
		{s.Failed, "failed"}, {s.Unsupported, "unsupported by this kernel"},
	} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	if s.Mode == reconcile.Observe {
		parts = append(parts, "mode observe")
	}
	if refused != nil {
		parts = append(parts, "newest configuration refused, the last good one is in force")
	}
	return strings.Join(parts, ", ")
}

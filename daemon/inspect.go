package daemon

import (
	"context"
	"time"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/host/logging"
	"github.com/ctkeeper/ctkeeper/host/owner"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/sysfs"
	"github.com/ctkeeper/ctkeeper/systemd"
	"github.com/ctkeeper/ctkeeper/table"
)

// Apply makes one pass over a host, without a daemon, and returns the result.
// It loads nf_conntrack first where the configuration asks for it.
func Apply(ctx context.Context, host tree.Tree, cfg *config.Config, log *logging.Logger) status.Document {
	if cfg.Module.Load && kmod.Observe(host, kmod.Conntrack).State == kmod.Absent {
		if err := kmod.Load(ctx, host, kmod.Conntrack); err != nil {
			log.Error("cannot load the module: its settings stay pending",
				logging.String(systemd.KeyModule, kmod.Conntrack), logging.Error(err))
		}
	}
	files := sysfs.NewFiles(host)
	defer func() { _ = files.Close() }() // every write has its own error
	keeper := reconcile.New(reconcile.Options{
		Kernel: newKernel(host, files), Hooks: reconcile.EventFunc(eventLogger{log}.Record),
	}, &cfg.Desired)
	keeper.Pass(reconcile.Start, time.Now())
	document := newDocument(host, keeper.Report(), cfg)
	document.Module.Parameters = readParameters(host, document.Module.State, wantedParameters(cfg))
	document.Table = InspectTable(host)
	return document
}

// Inspect compares the kernel of a host with a configuration, without a daemon and without
// writing anything.
func Inspect(host tree.Tree, cfg *config.Config) status.Document {
	files := sysfs.NewReader(host)
	defer func() { _ = files.Close() }() // opened for reading only
	desired := cfg.Desired
	desired.Mode = reconcile.Observe
	keeper := reconcile.New(reconcile.Options{
		Kernel: newKernel(host, files), Hooks: reconcile.EventFunc(func(reconcile.Event) {}),
	}, &desired)
	keeper.Pass(reconcile.Start, time.Now())
	report := keeper.Report()
	for i, s := range report.Settings { // one look has no history
		report.Settings[i] = reconcile.SettingStatus{Comparison: s.Comparison}
	}
	document := newDocument(host, report, cfg)
	document.Module.Parameters = readParameters(host, document.Module.State, wantedParameters(cfg))
	document.Table = InspectTable(host)
	document.Daemon.Mode = cfg.Mode
	if host.Live() {
		document.Daemon.KeptElsewhere, _ = owner.Held() // false where that is not known
	}
	return document
}

// InspectTable samples the tables of a host once: without a daemon there is no trend.
func InspectTable(host tree.Tree) status.Table {
	sample := table.Take(host, time.Now())
	return status.NewTable(sample, table.NewMonitor(1).State(sample))
}

// FillUnknown reads what is unknown in a daemon's document from the host: the file
// of expectations and the parameter expect_hashsize are readable by root only, and the
// daemon is not root.
func FillUnknown(d *status.Document, host tree.Tree) {
	if d.Table.ByHelper == nil {
		if t := InspectTable(host); t.ByHelper != nil {
			d.Table.Expectations, d.Table.ByHelper = t.Expectations, t.ByHelper
			d.Table.Conditions[table.Expectations] = t.Conditions[table.Expectations]
		}
	}
	for i, p := range d.Module.Parameters {
		if p.State == status.ParameterUnknown {
			d.Module.Parameters[i] = readParameters(host, d.Module.State, []status.Parameter{p})[0]
		}
	}
}

// newDocument returns a document of the report and the configuration. It reads the module's state,
// because the report has only whether it is present.
func newDocument(host tree.Tree, report reconcile.Report, cfg *config.Config) status.Document {
	module := kmod.Absent
	if report.Module.Present {
		module = kmod.Observe(host, kmod.Conntrack).State
	}
	release, _ := kmod.Release(host) // it is shown, and nothing depends on it
	return status.Document{
		Daemon: status.Daemon{
			Mode:   report.Mode,
			Config: status.Config{OK: true, Files: append([]string{}, cfg.Files...), Hash: cfg.Hash},
		},
		Kernel:   release,
		Module:   status.Module{Name: kmod.Conntrack, State: module, Loads: report.Loads},
		Settings: report.Settings,
		Guard:    stoppedGuard(cfg.Guard),
	}
}

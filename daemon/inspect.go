package daemon

import (
	"context"
	"time"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/host/logging"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/sysfs"
	"github.com/ctkeeper/ctkeeper/systemd"
	"github.com/ctkeeper/ctkeeper/table"
)

// Apply makes one pass over the system below root, without a daemon, and returns the result.
// It loads nf_conntrack first where the configuration asks for it.
func Apply(ctx context.Context, root string, cfg *config.Config, log *logging.Logger) status.Document {
	if cfg.Module.Load && kmod.Observe(root, kmod.Conntrack).State == kmod.Absent {
		if err := kmod.Load(ctx, root, kmod.Conntrack); err != nil {
			log.Error("cannot load the module: its settings stay pending",
				logging.String(systemd.KeyModule, kmod.Conntrack), logging.Error(err))
		}
	}
	files := sysfs.NewFiles(root)
	defer func() { _ = files.Close() }() // every write has its own error
	keeper := reconcile.New(reconcile.Options{
		Kernel: newKernel(root, files), Hooks: reconcile.EventFunc(eventLogger{log}.Record),
	}, &cfg.Desired)
	keeper.Pass(reconcile.Start, time.Now())
	document := newDocument(root, keeper.Report(), cfg)
	document.Module.Parameters = readParameters(tree.At(root), document.Module.State, wantedParameters(cfg))
	document.Table = InspectTable(root)
	return document
}

// Inspect compares the kernel below root with a configuration, without a daemon and without
// writing anything.
func Inspect(root string, cfg *config.Config) status.Document {
	files := sysfs.NewReader(root)
	defer func() { _ = files.Close() }() // opened for reading only
	desired := cfg.Desired
	desired.Mode = reconcile.Observe
	keeper := reconcile.New(reconcile.Options{
		Kernel: newKernel(root, files), Hooks: reconcile.EventFunc(func(reconcile.Event) {}),
	}, &desired)
	keeper.Pass(reconcile.Start, time.Now())
	report := keeper.Report()
	for i, s := range report.Settings { // one look has no history
		report.Settings[i] = reconcile.SettingStatus{Comparison: s.Comparison}
	}
	document := newDocument(root, report, cfg)
	document.Module.Parameters = readParameters(tree.At(root), document.Module.State, wantedParameters(cfg))
	document.Table = InspectTable(root)
	document.Daemon.Mode = cfg.Mode
	return document
}

// InspectTable samples the tables below root once: without a daemon there is no trend.
func InspectTable(root string) status.Table {
	sample := table.Take(root, time.Now())
	return status.NewTable(sample, table.NewMonitor(1).State(sample))
}

// FillUnknown reads what is unknown in a daemon's document from the system below root: the
// file of expectations and the parameter expect_hashsize are readable by root only, and the
// daemon is not root.
func FillUnknown(d *status.Document, root string) {
	if d.Table.ByHelper == nil {
		if t := InspectTable(root); t.ByHelper != nil {
			d.Table.Expectations, d.Table.ByHelper = t.Expectations, t.ByHelper
			d.Table.Conditions[table.Expectations] = t.Conditions[table.Expectations]
		}
	}
	for i, p := range d.Module.Parameters {
		if p.State == status.ParameterUnknown {
			d.Module.Parameters[i] = readParameters(tree.At(root), d.Module.State, []status.Parameter{p})[0]
		}
	}
}

// newDocument returns a document of the report and the configuration. It reads the module's state,
// because the report has only whether it is present.
func newDocument(root string, report reconcile.Report, cfg *config.Config) status.Document {
	module := kmod.Absent
	if report.Module.Present {
		module = kmod.Observe(root, kmod.Conntrack).State
	}
	release, _ := kmod.Release(tree.At(root)) // it is shown, and nothing depends on it
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

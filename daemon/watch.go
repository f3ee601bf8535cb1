package daemon

import (
	"context"
	"errors"
	"time"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/host/logging"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/sysfs"
	"github.com/ctkeeper/ctkeeper/systemd"
)

// clockSlack is more than a file's change time may lie before the change: a tick of the kernel's clock.
const clockSlack = time.Second

// Each watcher is started first. Then it wakes the keeper with Overflow: the pass finds the changes from
// before the start.

// watchModule wakes the keeper when nf_conntrack is loaded or unloaded, and
// nf_defrag_ipv6, which has the frag6 settings.
func (d *Daemon) watchModule(ctx context.Context) error {
	w, err := kmod.NewWatcher(kmod.Conntrack, "nf_defrag_ipv6")
	if err != nil {
		return err
	}
	defer func() { _ = w.Close() }()
	d.reportSource(status.SourceModule, nil)
	d.keeper.Wake(reconcile.Overflow)
	return w.Run(ctx, d.wakeFor(reconcile.ModuleChange))
}

// watchSettings wakes the keeper when a setting is written.
func (d *Daemon) watchSettings(ctx context.Context) error {
	w, err := sysfs.NewWatcher(d.host)
	if err != nil {
		return err
	}
	d.watcher.Store(w)
	defer func() {
		d.watcher.Store(nil)
		_ = w.Close()
	}()
	// The module may have been loaded or unloaded between NewWatcher and Store.
	if err := w.Arm(); err != nil {
		return err
	}
	d.reportSource(status.SourceSettings, nil)
	d.keeper.Wake(reconcile.Overflow)
	overflowed := d.wakeFor(reconcile.Write)
	return w.Run(ctx, func(write sysfs.Write) {
		if write.Overflow {
			overflowed(true)
			return
		}
		d.keeper.Wrote(write.File)
	})
}

// watchConfig reloads the configuration when its files change. Where they cannot be watched, it reloads at
// each attempt, at most maxRestart apart. So it does after a load that failed for a reason that may pass: nothing
// reports that a file can be read again.
func (d *Daemon) watchConfig(ctx context.Context) error {
	w, err := config.NewWatcher(d.opts.Source)
	if err != nil {
		d.reload(ctx, false)
		return err
	}
	defer func() { _ = w.Close() }()
	var passing error
	reload := func() {
		if err := d.reload(ctx, false); config.MayPass(err) {
			passing = err
			_ = w.Close() // ends Run
			return
		}
		d.reportSource(status.SourceConfig, nil)
	}
	// The configuration of the start need not be loaded again.
	if isFirst := !d.configWatched; isFirst && !w.ChangedSince(d.since.Add(-clockSlack)) {
		d.reportSource(status.SourceConfig, nil)
	} else {
		reload()
	}
	d.configWatched = true
	return errors.Join(w.Run(ctx, reload), passing)
}

// reportSource records and logs that a source of events works, or why not.
func (d *Daemon) reportSource(name string, err error) { d.sources.report(d.opts.Log, name, err) }

// watchTable samples the table from the first pass on: before it the limits may not be the
// wanted ones.
func (d *Daemon) watchTable(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-d.keeper.Ready():
		return d.table.run(ctx)
	}
}

// wakeFor returns a function that wakes the keeper for a reason. overflow means that a queue
// overflowed and events were lost: that is counted, and logged at the first, second, fourth,
// eighth time and so on.
func (d *Daemon) wakeFor(reason reconcile.Reason) func(overflow bool) {
	overflows := 0
	return func(overflow bool) {
		if !overflow {
			d.keeper.Wake(reason)
			return
		}
		d.keeper.Wake(reason | reconcile.Overflow)
		d.recorder.counts.recordOverflow(reason)
		if overflows++; overflows&(overflows-1) == 0 {
			d.opts.Log.Warn("event queue overflowed, reading every setting again",
				logging.Stringer(systemd.KeySource, reason), logging.Int(systemd.KeyCount, overflows))
		}
	}
}

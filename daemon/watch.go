package daemon

import (
	"context"
	"fmt"

	"go.uber.org/zap"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/sysfs"
	"github.com/ctkeeper/ctkeeper/systemd"
)

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
	d.keeper.Wake(reconcile.Overflow)
	return w.Run(ctx, d.wakeFor(reconcile.ModuleChange))
}

// watchSettings wakes the keeper when a setting is written.
func (d *Daemon) watchSettings(ctx context.Context) error {
	w, err := sysfs.NewWatcher(d.opts.Source.Root)
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
	d.keeper.Wake(reconcile.Overflow)
	return w.Run(ctx, d.wakeFor(reconcile.Write))
}

// watchConfig reloads the configuration when its files change.
func (d *Daemon) watchConfig(ctx context.Context) error {
	w, err := config.NewWatcher(d.opts.Source)
	if err != nil {
		return fmt.Errorf("cannot watch the configuration: %w", err)
	}
	defer func() { _ = w.Close() }()
	d.reload(ctx, false)
	return w.Run(ctx, func() { d.reload(ctx, false) })
}

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
		d.metrics.RecordOverflow(reason.String())
		if overflows++; overflows&(overflows-1) == 0 {
			d.opts.Log.Warn("event queue overflowed, reading every setting again",
				zap.Stringer(systemd.KeySource, reason), zap.Int(systemd.KeyCount, overflows))
		}
	}
}

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

// Each of these listens first and then has the keeper look at everything: what
// happened before the listening is then found by looking.

// watchModule wakes the keeper when nf_conntrack comes or goes, and
// nf_defrag_ipv6, which brings the frag6 settings.
func (d *Daemon) watchModule(ctx context.Context) error {
	w, err := kmod.NewWatcher(kmod.Conntrack, "nf_defrag_ipv6")
	if err != nil {
		return err
	}
	defer func() { _ = w.Close() }()
	d.keeper.Wake(reconcile.Overflow)
	return w.Run(ctx, d.waker(reconcile.ModuleMoved))
}

// watchSettings wakes the keeper when somebody writes a setting.
func (d *Daemon) watchSettings(ctx context.Context) error {
	w, err := sysfs.NewWatcher(d.opts.Source.Root)
	if err != nil {
		return err
	}
	d.watch.Store(w)
	defer func() {
		d.watch.Store(nil)
		_ = w.Close()
	}()
	// The module may have moved between the arming and the storing.
	if err := w.Arm(); err != nil {
		return err
	}
	d.keeper.Wake(reconcile.Overflow)
	return w.Run(ctx, d.waker(reconcile.Write))
}

// watchConfig reloads the configuration when its files change.
func (d *Daemon) watchConfig(ctx context.Context) error {
	w, err := config.NewWatcher(d.opts.Source)
	if err != nil {
		return fmt.Errorf("cannot watch the configuration: %w", err)
	}
	defer func() { _ = w.Close() }()
	d.reload(false)
	return w.Run(ctx, func() { d.reload(false) })
}

// watchTable looks at the table, from the first pass on: before, its limits may not be
// those that are wanted.
func (d *Daemon) watchTable(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-d.keeper.Ready():
		return d.table.run(ctx)
	}
}

// waker wakes the keeper for a reason. A queue that overran has lost events: that
// is counted, and said at the first, second, fourth, eighth time and so on.
func (d *Daemon) waker(why reconcile.Reason) func(overflow bool) {
	overruns := 0
	return func(overflow bool) {
		if !overflow {
			d.keeper.Wake(why)
			return
		}
		d.keeper.Wake(why | reconcile.Overflow)
		d.metrics.Overflowed(why.String())
		if overruns++; overruns&(overruns-1) == 0 {
			d.opts.Log.Warn("events were lost, so everything was looked at", zap.Stringer(systemd.KeySource, why), zap.Int(systemd.KeyCount, overruns))
		}
	}
}

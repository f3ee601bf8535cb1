package daemon

import (
	"time"

	"go.uber.org/zap"

	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// kernel is the system below a root directory. It implements reconcile.Kernel.
type kernel struct {
	*sysfs.Files
	observer *kmod.Observer
}

func newKernel(root string, files *sysfs.Files) kernel {
	return kernel{files, kmod.NewObserver(root, kmod.Conntrack)}
}

// Module looks at nf_conntrack.
func (k kernel) Module() reconcile.Module {
	m := k.observer.Observe()
	return reconcile.Module{Present: m.State != kmod.Absent, Instance: m.Instance, InTransition: m.InTransition}
}

// passObserver connects the keeper's passes with the rest of the daemon. It implements
// reconcile.Hooks.
type passObserver struct {
	*Daemon
	beat func() // feeds systemd's watchdog
}

// OnDesired passes the desired state on to the guard.
func (o passObserver) OnDesired(desired *reconcile.Desired) {
	if err := o.guard.setDesired(desired); err != nil {
		o.opts.Log.Warn("guard: cannot update the BPF map", zap.Error(err))
	}
}

// OnModuleChange sets the watches of the settings again.
func (o passObserver) OnModuleChange() {
	if w := o.watcher.Load(); w != nil {
		if err := w.Arm(); err != nil {
			o.opts.Log.Warn("inotify: cannot watch every setting", zap.Error(err))
		}
	}
}

// Record counts, logs and remembers an event.
func (o passObserver) Record(e reconcile.Event) { o.recorder.Record(e) }

// OnPass counts the pass, updates STATUS= where the summary changed, and feeds the watchdog.
func (o passObserver) OnPass(reasons reconcile.Reason, took time.Duration, changed bool) {
	o.metrics.RecordPass(reasons.String(), took)
	o.table.passed()
	if changed {
		o.publishSummary()
	}
	o.beat()
}

func (d *Daemon) keeperOptions(files *sysfs.Files) reconcile.Options {
	o := passObserver{Daemon: d, beat: func() {}}
	opts := reconcile.Options{Kernel: newKernel(d.opts.Source.Root, files), Attributor: d.guard}
	if interval := d.opts.Notify.WatchdogInterval(); interval > 0 {
		opts.Heartbeat = interval / 3
		o.beat = d.feedWatchdog(opts.Heartbeat / 2)
	}
	opts.Hooks = o
	return opts
}

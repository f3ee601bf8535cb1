package daemon

import (
	"time"

	"github.com/ctkeeper/ctkeeper/host/logging"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// kernel is the kernel of a host. It implements reconcile.Kernel.
type kernel struct {
	*sysfs.Files
	module *kmod.Observer
}

func newKernel(host tree.Tree, files *sysfs.Files) kernel {
	return kernel{files, kmod.NewObserver(host, kmod.Conntrack)}
}

// Module reads the state of nf_conntrack.
func (k kernel) Module() reconcile.Module {
	m := k.module.Observe()
	return reconcile.Module{Present: m.State != kmod.Absent, Instance: m.Instance, InTransition: m.InTransition}
}

// passHooks connects the keeper's passes with the rest of the daemon. It implements reconcile.Hooks.
type passHooks struct {
	*Daemon
	notifyWatchdog func()
	// nextSample is the time from the last pass until the table is due.
	nextSample *time.Duration
}

// OnDesired updates the guard's rules from the desired state.
func (h passHooks) OnDesired(desired *reconcile.Desired) {
	if err := h.guard.setDesired(desired); err != nil {
		h.opts.Log.Warn("guard: cannot update the BPF map", logging.Error(err))
	}
}

// OnModuleChange sets the watches of the settings again.
func (h passHooks) OnModuleChange() {
	if w := h.watcher.Load(); w != nil {
		if err := w.Arm(); err != nil {
			h.opts.Log.Warn("inotify: cannot watch every setting", logging.Error(err))
		}
	}
}

// Record counts and logs an event, and adds it to the history.
func (h passHooks) Record(e reconcile.Event) { h.recorder.Record(e) }

// OnPass counts the pass, looks whether hold has an effect, updates STATUS= if the summary changed, and notifies
// systemd's watchdog.
func (h passHooks) OnPass(reasons reconcile.Reason, took time.Duration, changed bool) {
	h.recorder.counts.recordPass(reasons, took)
	h.recheckHold()
	*h.nextSample = h.table.sampleIfDue()
	if changed {
		h.publishSummary()
	}
	h.notifyWatchdog()
}

func (h passHooks) recheckHold() {
	changed, err := h.guard.recheckHold()
	if err != nil {
		h.opts.Log.Warn("guard: cannot update the BPF map", logging.Error(err))
	}
	if changed {
		h.logGuard()
	}
}

func (d *Daemon) keeperOptions(files *sysfs.Files, clock reconcile.Alarm) reconcile.Options {
	h := passHooks{Daemon: d, notifyWatchdog: func() {}, nextSample: new(time.Duration)}
	d.resizer = newResizer(d.host, newKernel(d.host, files), d.lock, d.opts.Log)
	opts := reconcile.Options{Kernel: d.resizer, Attributor: d.guard, Alarm: clock}
	opts.Heartbeat = func() time.Duration { return *h.nextSample }
	if interval := d.opts.Notify.WatchdogInterval(); interval > 0 {
		opts.Heartbeat = func() time.Duration { return min(interval/3, *h.nextSample) }
		h.notifyWatchdog = d.watchdogNotifier(interval / 6)
	}
	opts.Hooks = h
	return opts
}

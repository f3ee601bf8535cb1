package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/metrics"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/sysfs"
	"github.com/ctkeeper/ctkeeper/systemd"
)

// Why Run ends other than on request; cmd turns them into exit statuses.
var (
	// ErrRefused is a configuration that was refused at the start.
	ErrRefused = errors.New("configuration refused")
	// ErrForbidden says that nothing could be enforced for want of rights, and
	// that Options.Strict asked to end then.
	ErrForbidden = errors.New("nothing can be enforced here for want of rights")
)

// Options are what the daemon runs with.
type Options struct {
	// Source is where the configuration is; its Root is the system's.
	Source  config.Source
	Log     *zap.Logger
	Notify  *systemd.Notifier
	Version string
	// Strict ends the daemon where nothing can be enforced for want of rights.
	Strict bool
	// Socket is the path of the status socket.
	Socket string
	// Sockets are what systemd listens on for metrics.listen: systemd.
	Sockets []*os.File
	// History is the path of the file that keeps the history over restarts; empty is none.
	History string
	// Started, where not nil, is called once the first pass is done.
	Started func(status.Document)
}

// Daemon is the running ctkeeper.
type Daemon struct {
	opts     Options
	log      *logQueue
	since    time.Time
	recorder recorder
	metrics  *metrics.Metrics
	table    *tableTask
	messages kernelMessages
	keeper   *reconcile.Keeper
	watch    atomic.Pointer[sysfs.Watcher]
	guardian *guardian
	// looked and configured have something at each look at the table, and at each
	// configuration that was read.
	looked, configured, guardConfigured chan struct{}

	reloading   sync.Mutex // one at a time, or an older reading could win
	mu          sync.Mutex
	cfg         *config.Config
	loadedAt    time.Time // when cfg was read
	refused     error     // why the newest configuration was, or nil
	unsupported string    // what the log last said this kernel does not have
}

// Run is the daemon, until ctx ends (nil) or something that cannot be mended
// happens: ErrRefused, ErrForbidden, or another daemon on the socket.
func Run(ctx context.Context, opts Options) error {
	d := newDaemon(opts)
	defer d.log.drain()
	// From here on: before, a SIGHUP would end the process.
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)

	cfg, err := opts.Source.Load()
	if err != nil {
		d.sayRefused(err, "ctkeeper does not start")
		return fmt.Errorf("%w:\n%w", ErrRefused, err)
	}
	server, err := d.listen()
	if err != nil {
		return err
	}
	d.cfg, d.loadedAt = cfg, time.Now()
	d.loadModule(ctx)
	d.sayLoaded(cfg)
	files := sysfs.NewFiles(opts.Source.Root)
	defer func() { _ = files.Close() }() // every write has its own error
	d.keeper = reconcile.New(d.keeperOptions(files), Desired(cfg))

	err = d.runTasks(ctx, hup, server)
	if !errors.Is(err, context.Canceled) {
		return err
	}
	d.opts.Log.Info("stopped, every value is left as it is")
	return nil
}

func newDaemon(opts Options) *Daemon {
	d := &Daemon{
		opts: opts, log: newLogQueue(), since: time.Now(),
		looked: make(chan struct{}, 1), configured: make(chan struct{}, 1), guardConfigured: make(chan struct{}, 1),
		guardian: newGuardian(),
	}
	d.opts.Log = d.log.wrap(opts.Log)
	d.metrics = metrics.New(opts.Version, d.measured)
	d.recorder = recorder{eventLogger{d.opts.Log}, newHistory(), d.metrics}
	d.table = newTableTask(opts.Source.Root, d.recorder.Record)
	d.table.done = func() { poke(d.looked) }
	return d
}

// poke puts something into a channel with room for one. It never blocks.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// runTasks runs all that the daemon is, until ctx ends or a task cannot go on.
func (d *Daemon) runTasks(ctx context.Context, hup <-chan os.Signal, server *server) error {
	tasks, ctx := errgroup.WithContext(ctx)
	for source, run := range map[string]func(context.Context) error{
		"uevent": d.watchModule, "inotify": d.watchSettings, "config": d.watchConfig, "guard": d.watchGuard,
	} {
		tasks.Go(func() error { return restarting(ctx, d.opts.Log, source, run) })
	}
	tasks.Go(func() error { return d.log.run(ctx) })
	tasks.Go(func() error { return d.keeper.Run(ctx) })
	tasks.Go(func() error { return d.announce(ctx) })
	tasks.Go(func() error { return d.hangups(ctx, hup) })
	tasks.Go(func() error { return d.watchTable(ctx) })
	tasks.Go(func() error { return d.followKernelLog(ctx) })
	tasks.Go(func() error { return d.serveMetrics(ctx) })
	tasks.Go(func() error { return d.writeTextfile(ctx) })
	if d.opts.History != "" {
		tasks.Go(func() error { return d.storeHistory(ctx) })
	}
	if server != nil {
		tasks.Go(func() error { return d.serve(ctx, server) })
	}
	return tasks.Wait()
}

func (d *Daemon) keeperOptions(files *sysfs.Files) reconcile.Options {
	opts := KeeperOptions(d.opts.Source.Root, files, d.recorder)
	opts.Changed = d.changed
	opts.Witness = d.guardian
	opts.Adopted = func(desired *reconcile.Desired) {
		if err := d.guardian.adopt(desired); err != nil {
			d.opts.Log.Warn("the guard does not know what is wanted now", zap.Error(err))
		}
	}
	opts.Passed = func(why reconcile.Reason, took time.Duration) {
		d.metrics.Passed(why.String(), took)
		d.table.passed()
	}
	if interval := d.opts.Notify.WatchdogInterval(); interval > 0 {
		opts.Heartbeat = interval / 3
		opts.Beat = d.watchdog(opts.Heartbeat / 2)
	}
	opts.ModuleMoved = func() {
		if w := d.watch.Load(); w != nil {
			if err := w.Arm(); err != nil {
				d.opts.Log.Warn("cannot watch every setting", zap.Error(err))
			}
		}
	}
	return opts
}

// watchdog gives what the keeper's loop calls after each pass: it feeds systemd's
// watchdog, not more often than every so often, since passes may come in storms.
func (d *Daemon) watchdog(every time.Duration) func() {
	var fed time.Time
	return func() {
		if now := time.Now(); now.Sub(fed) >= every {
			fed = now
			d.notified(d.opts.Notify.Watchdog())
		}
	}
}

// announce says READY after the first pass, and STOPPING at the end.
func (d *Daemon) announce(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-d.keeper.Ready():
	}
	select { // whoever starts after this service finds the guard in place
	case <-ctx.Done():
		return ctx.Err()
	case <-d.guardian.tried:
	case <-time.After(guardTime):
	}
	s := d.keeper.Report().Summary()
	if d.opts.Strict && s.Forbidden > 0 && s.InSync == 0 {
		return ErrForbidden
	}
	d.notified(d.opts.Notify.Ready(statusLine(s, nil)))
	if d.opts.Started != nil {
		d.opts.Started(d.status())
	}
	<-ctx.Done()
	d.notified(d.opts.Notify.Stopping())
	return ctx.Err()
}

// changed follows the keeper's summary.
func (d *Daemon) changed() {
	d.mu.Lock()
	defer d.mu.Unlock()
	report := d.keeper.Report() // within the lock, or an older one could be told last
	d.notified(d.opts.Notify.Status(statusLine(report.Summary(), d.refused)))
	d.sayUnsupported(report)
}

// loadModule loads nf_conntrack where the configuration asks for it and this
// process may. The service may not: its unit does it beforehand, as root.
func (d *Daemon) loadModule(ctx context.Context) {
	if !d.cfg.Module.Load || kmod.Look(d.opts.Source.Root, kmod.Conntrack).State != kmod.Absent {
		return
	}
	if !kmod.MayLoad() {
		d.opts.Log.Warn("module.load is on, but nf_conntrack is absent and this process may not load modules: waiting for it",
			zap.String(systemd.KeyModule, kmod.Conntrack), zap.String(systemd.KeyHint, "ctkeeper doctor, as root, tells why"))
		return
	}
	if err := kmod.Load(ctx, d.opts.Source.Root, kmod.Conntrack); err != nil {
		d.opts.Log.Error("cannot load the module, waiting for it", zap.String(systemd.KeyModule, kmod.Conntrack), zap.Error(err))
	}
}

// hangups reloads the configuration at each SIGHUP.
func (d *Daemon) hangups(ctx context.Context, hup <-chan os.Signal) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-hup:
			d.notified(d.opts.Notify.Reloading())
			d.reload(true)
			d.notified(d.opts.Notify.Ready(""))
		}
	}
}

// notified logs what systemd could not be told. It changes nothing else: the
// settings are kept all the same.
func (d *Daemon) notified(err error) {
	if err != nil {
		d.opts.Log.Warn("systemd does not listen", zap.Error(err))
	}
}

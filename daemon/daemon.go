package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/host/alarm"
	"github.com/ctkeeper/ctkeeper/host/buildinfo"
	"github.com/ctkeeper/ctkeeper/host/logging"
	"github.com/ctkeeper/ctkeeper/host/priority"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/sysfs"
	"github.com/ctkeeper/ctkeeper/systemd"
)

// Errors of Run that cmd turns into exit statuses of their own.
var (
	// ErrRefused means that the configuration was refused at the start.
	ErrRefused = errors.New("configuration refused")
	// ErrForbidden means that the host permits no write at all, and that Options.Strict
	// was set.
	ErrForbidden = errors.New("nothing can be enforced here: every write is forbidden")
)

// Options configure the daemon.
type Options struct {
	// Source is where the configuration is read from. Its Tree is the host whose settings are kept.
	Source config.Source
	Log    *logging.Logger
	Notify *systemd.Notifier
	Build  buildinfo.Build
	// Strict ends the daemon with ErrForbidden where nothing can be enforced.
	Strict bool
	// Socket is the path of the status socket.
	Socket string
	// History is the path of the file that keeps the history over restarts; empty means no file.
	History string
	// Started, where not nil, is called once after the first pass.
	Started func(status.Document)
}

// Daemon is a running ctkeeper.
type Daemon struct {
	opts     Options
	host     tree.Tree
	log      *logQueue
	since    time.Time // the start
	recorder recorder
	table    *tableTask
	messages kernelMessages
	keeper   *reconcile.Keeper
	watcher  atomic.Pointer[sysfs.Watcher]
	guard    *guardControl
	active   activeTasks
	sources  *sources
	lock     *lockFile // nil where there can be none
	resizer  *resizer
	// announced is closed after READY.
	announced chan struct{}

	loader        *config.Loader
	configWatched bool       // watchConfig has run before
	reloading     sync.Mutex // one reload at a time: an older configuration must not replace a newer one
	mu            sync.Mutex
	cfg           *config.Config
	cfgAt         time.Time     // when cfg was read
	cfgErr        error         // why the newest configuration was refused, or nil
	refusedAt     time.Time     // since when there is a cfgErr
	cfgRead       chan struct{} // closed, and replaced, when a configuration was read
	unsupported   string        // the unsupported settings that were logged last
	ownership     ownership     // written by the holder of reloading

	parameterCache parameterCache
}

// Run runs the daemon until ctx ends, and then returns nil. It returns ErrRefused or ErrForbidden, or an
// error if another daemon runs.
func Run(ctx context.Context, opts Options) error {
	d := newDaemon(opts)
	// A SIGHUP before this line ends the process.
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)

	ctx, stop := context.WithCancelCause(ctx)
	err, ended := runBounded(ctx, stopTimeout, func() error { return d.run(ctx, stop, hup) })
	stop(err)
	if !ended {
		d.opts.Log.Warn("stopping, although some tasks have not ended",
			logging.Strings(systemd.KeySource, d.active.list()), logging.Duration(systemd.KeyDuration, stopTimeout))
	}
	if errors.Is(err, context.Canceled) {
		d.opts.Log.Info("stopped, every value stays as it is")
		err = nil
	}
	// The journal, or who reads standard error, may not answer.
	_, _ = runBounded(ctx, drainTimeout, func() error { d.log.drain(); return nil })
	return err
}

// run is Run without its bounds.
func (d *Daemon) run(ctx context.Context, stop context.CancelCauseFunc, hup <-chan os.Signal) error {
	started := d.active.begin("start")
	if err := priority.Raise(0); err != nil { // the service may not: its unit does it
		d.opts.Log.Debug("cannot raise the priority: a repair may wait for a busy writer", logging.Error(err))
	}
	cfg, err := d.loader.Load(ctx)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case config.MayPass(err): // the next start may read it
		return fmt.Errorf("cannot load the configuration: %w", err)
	case err != nil:
		d.recordRefused(err, "ctkeeper does not start")
		return fmt.Errorf("%w:\n%w", ErrRefused, err)
	}
	if d.lock, err = d.takeLock(); err != nil {
		return err
	}
	if d.lock != nil {
		defer func() { _ = d.lock.Close() }() // the kernel releases the lock all the same
	}
	socket := d.listen()
	d.cfg, d.cfgAt = cfg, time.Now()
	desired := d.desired(ctx, cfg)
	defer func() { _ = d.owns().claim.Release() }() // the kernel releases it all the same
	if !d.owns().isStandby() {
		d.loadModule(ctx)
	}
	d.recordLoaded(cfg)
	d.logMounts(cfg)
	files := sysfs.NewFiles(d.host)
	defer func() { _ = errors.Join(files.Close(), d.guard.files.Close()) }() // every write has its own error
	clock, err := alarm.New()
	if err != nil {
		return err
	}
	defer func() { _ = clock.Close() }()
	d.keeper = reconcile.New(d.keeperOptions(files, clock), desired)
	started()
	return d.runTasks(ctx, stop, d.tasks(hup, socket))
}

func newDaemon(opts Options) *Daemon {
	d := &Daemon{
		opts: opts, host: opts.Source.Tree(), log: newLogQueue(), since: time.Now(), cfgRead: make(chan struct{}),
		announced: make(chan struct{}), guard: newGuardControl(opts.Source.Tree()),
		loader: config.NewLoader(opts.Source), sources: newSources(),
	}
	d.opts.Log = d.log.wrap(opts.Log)
	d.recorder = recorder{eventLogger{d.opts.Log}, newHistory(), newCounts()}
	d.table = newTableTask(d.host, d.recorder.Record)
	return d
}

// tasks returns everything that the daemon runs.
func (d *Daemon) tasks(hup <-chan os.Signal, socket net.Listener) []task {
	log := d.opts.Log
	all := []task{
		restart(status.SourceModule, d.watchModule, d.reportSource),
		restart(status.SourceSettings, d.watchSettings, d.reportSource),
		restart(status.SourceConfig, d.watchConfig, d.reportSource),
		{name: "log", run: d.log.run},
		{name: "notify", run: func(ctx context.Context) error { return d.opts.Notify.Run(ctx, log) }},
		{name: "keeper", run: d.keeper.Run, ready: d.keeper.Ready()},
		{name: "signal", run: func(ctx context.Context) error { return d.reloadOnSignal(ctx, hup) }},
		{name: "table", run: d.watchTable},
		{name: "kernel log", run: d.followKernelLog},
		{name: "owner", run: d.watchOwner},
	}
	guard := restart("guard", d.watchGuard, d.reportSource)
	guard.ready, guard.readyTimeout = d.guard.ready, guardTimeout
	all = append(all, guard)
	if d.opts.History != "" {
		all = append(all, task{name: "history", run: d.storeHistory})
	}
	if socket != nil {
		all = append(all, task{name: "socket", run: func(ctx context.Context) error { return d.serve(ctx, socket) }})
	}
	return all
}

// runTasks runs all tasks until ctx ends or one of them returns an error, which then stops the others.
func (d *Daemon) runTasks(ctx context.Context, stop context.CancelCauseFunc, all []task) error {
	var group errgroup.Group
	announce := task{name: "start", run: func(ctx context.Context) error { return d.announce(ctx, all) }}
	for _, t := range append(all, announce) {
		group.Go(func() error {
			defer d.active.begin(t.name)()
			err := t.run(ctx)
			d.opts.Log.Debug("task ended", logging.String(systemd.KeySource, t.name), logging.Error(err))
			if err != nil {
				stop(err)
			}
			return err
		})
	}
	return group.Wait()
}

// announce sends READY to systemd when every task is ready.
func (d *Daemon) announce(ctx context.Context, all []task) error {
	for _, t := range all {
		if t.ready != nil {
			sleep(ctx, t.readyTimeout, t.ready)
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s := d.keeper.Report().Summary()
	if d.opts.Strict && s.Forbidden > 0 && s.InSync == 0 {
		return ErrForbidden
	}
	d.opts.Notify.Ready(statusLine(s, nil, d.owns().isStandby()))
	close(d.announced)
	if d.opts.Started != nil {
		d.opts.Started(d.status())
	}
	return nil
}

// watchdogNotifier returns a function that the keeper's loop calls after each pass. It sends WATCHDOG=1
// to systemd at most once in an interval, since there can be many passes a second.
func (d *Daemon) watchdogNotifier(every time.Duration) func() {
	var last time.Time
	return func() {
		if now := time.Now(); now.Sub(last) >= every {
			last = now
			d.opts.Notify.Watchdog()
		}
	}
}

// publishSummary updates the status line of systemd.
func (d *Daemon) publishSummary() {
	d.mu.Lock()
	defer d.mu.Unlock()
	report := d.keeper.Report() // read under the lock, so that an older one is not sent after a newer one
	d.opts.Notify.Status(statusLine(report.Summary(), d.cfgErr, d.ownership.isStandby()))
	d.logUnsupported(report)
}

// loadModule loads nf_conntrack if module.load is on and this process may load modules. The
// service may not: its unit loads it as root, before the daemon starts.
func (d *Daemon) loadModule(ctx context.Context) {
	if !d.cfg.Module.Load || kmod.Observe(d.host, kmod.Conntrack).State != kmod.Absent {
		return
	}
	log := d.opts.Log.With(logging.String(systemd.KeyModule, kmod.Conntrack))
	if !kmod.MayLoad() {
		log.Warn("nf_conntrack is absent and this process may not load modules: its settings stay pending",
			logging.String(systemd.KeyHint, "run ctkeeper doctor as root to see why"))
		return
	}
	if err := kmod.Load(ctx, d.host, kmod.Conntrack); err != nil {
		log.Error("cannot load the module: its settings stay pending", logging.Error(err))
	}
}

// reloadOnSignal reloads the configuration at each SIGHUP.
func (d *Daemon) reloadOnSignal(ctx context.Context, hup <-chan os.Signal) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-hup:
			d.opts.Notify.Reloading()
			d.reload(ctx, true)
			d.opts.Notify.Ready("")
		}
	}
}

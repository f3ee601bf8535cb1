package daemon

import (
	"os"
	"sync"
	"time"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
)

// status returns the daemon's document. It never waits for a pass: the keeper publishes its
// report. What is read from the kernel for it (figures of the table, module parameters) is at
// most maxAge old: readers that poll cause at most one read a second.
func (d *Daemon) status() status.Document {
	d.mu.Lock()
	cfg, cfgAt, refused, refusedAt := d.cfg, d.cfgAt, d.cfgErr, d.refusedAt
	d.mu.Unlock()
	report := d.keeper.Report()
	s := newDocument(d.host, report, cfg)
	s.Module.Parameters = d.parameters(s.Module.State, cfg)
	recent := d.table.recent()
	s.Table = status.NewTable(recent, d.table.monitor.State(recent))
	s.Table.KernelMessages = d.messages.snapshot()
	s.Guard = d.guard.report()
	s.Daemon.Running, s.Daemon.PID, s.Daemon.Since = true, os.Getpid(), d.since
	build := d.opts.Build
	s.Daemon.Version, s.Daemon.Commit, s.Daemon.GoVersion = build.Version, build.Commit, build.Go
	s.Daemon.Sources = d.sources.snapshot()
	d.noteBlindness(s.Daemon.Sources, cfg)
	owns := d.owns()
	if s.Daemon.KeptElsewhere = owns.isStandby(); !s.Daemon.KeptElsewhere && owns.err != nil {
		s.Daemon.OwnerError = owns.err.Error()
	}
	s.Daemon.Config.At = cfgAt
	if refused != nil {
		s.Daemon.Config.OK, s.Daemon.Config.Error, s.Daemon.Config.RefusedAt = false, refused.Error(), refusedAt
	}
	s.Judge()
	return s
}

// counts returns what the daemon has counted.
func (d *Daemon) counts() status.Counts {
	c := d.recorder.counts.snapshot(d.keeper.Report().Settings)
	c.KernelMessages = d.messages.snapshot()
	return c
}

// parameters reads the module's parameters, unless they were read less than maxAge ago in the
// same state of the module and for the same configuration.
func (d *Daemon) parameters(module kmod.State, cfg *config.Config) []status.Parameter {
	d.parameterCache.Lock()
	defer d.parameterCache.Unlock()
	c := &d.parameterCache
	if now := time.Now(); c.cfg != cfg || c.module != module || now.Sub(c.at) > maxAge {
		c.cfg, c.module, c.at = cfg, module, now
		c.parameters = readParameters(d.host, module, wantedParameters(cfg))
	}
	return c.parameters
}

// parameterCache is the last result of parameters, and when it was read.
type parameterCache struct {
	sync.Mutex
	cfg        *config.Config
	module     kmod.State
	at         time.Time
	parameters []status.Parameter
}

// statusLine is the line that systemctl status shows.
func statusLine(s reconcile.Summary, refused error, standby bool) string {
	line := status.SettingsText(s)
	if standby {
		line += ", another ctkeeper enforces"
	}
	if refused != nil {
		line += ", newest configuration refused, the last good one is in effect"
	}
	return line
}

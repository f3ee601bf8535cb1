package daemon

import (
	"context"
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/host/logging"
	"github.com/ctkeeper/ctkeeper/host/owner"
	"github.com/ctkeeper/ctkeeper/reconcile"
)

// ownership is whether this daemon owns its network namespace (package owner). Of the daemons that want to enforce in
// one namespace and share no lock file, the first enforces and the others observe.
type ownership struct {
	claim *owner.Claim // nil where it does not own it
	err   error        // why not, or nil where it does not want to
}

// desired returns what the keeper is to make of a configuration: in mode observe while another ctkeeper owns the
// network namespace. When that one has ended it loads the module, as at the start. It logs what is new. It is called by
// one goroutine at a time, see Daemon.reloading.
func (d *Daemon) desired(ctx context.Context, cfg *config.Config) *reconcile.Desired {
	before := d.ownership
	now := before
	switch {
	case cfg.Mode != reconcile.Enforce || !d.host.Live(): // another root has no kernel
		_ = before.claim.Release() // it was only held
		now = ownership{}
	case before.claim == nil:
		now.claim, now.err = owner.Take()
		if errors.Is(now.err, unix.EPERM) && os.Geteuid() != 0 {
			now.err = nil // it may not write either, which the settings report
		}
	}
	d.mu.Lock()
	d.ownership = now
	d.mu.Unlock()
	d.logOwnership(before, now)
	if !now.isStandby() {
		if before.isStandby() {
			d.loadModule(ctx)
		}
		return &cfg.Desired
	}
	observing := cfg.Desired
	observing.Mode = reconcile.Observe
	return &observing
}

// isStandby reports whether another ctkeeper owns the network namespace.
func (o ownership) isStandby() bool { return errors.Is(o.err, owner.ErrHeld) }

func (d *Daemon) logOwnership(before, now ownership) {
	log := d.opts.Log
	switch {
	case now.err != nil && before.err != nil && now.err.Error() == before.err.Error():
	case now.isStandby():
		log.Warn("another ctkeeper keeps the settings of this network namespace: this one observes until that one ends")
	case now.err != nil:
		log.Warn("a second ctkeeper in this network namespace would not be noticed", logging.Error(now.err))
	case before.isStandby() && now.claim != nil:
		log.Info("the other ctkeeper of this network namespace has ended: this one enforces")
	}
}

// watchOwner takes the network namespace over when its owner has ended: it looks once in each resync.
func (d *Daemon) watchOwner(ctx context.Context) error {
	for ctx.Err() == nil {
		cfg, changed := d.configuration()
		limit := cfg.Resync
		if d.owns().err == nil {
			limit = 0 // nothing to wait for
		}
		sleep(ctx, limit, changed)
		d.takeOver(ctx)
	}
	return ctx.Err()
}

// takeOver enforces the configuration if the network namespace has no owner any more.
func (d *Daemon) takeOver(ctx context.Context) {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	before := d.owns()
	if before.err == nil || ctx.Err() != nil {
		return
	}
	cfg, _ := d.configuration()
	desired := d.desired(ctx, cfg)
	if before.isStandby() == d.owns().isStandby() {
		return
	}
	d.keeper.SetDesired(desired, reconcile.Config)
	d.publishSummary()
}

func (d *Daemon) owns() ownership {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ownership
}

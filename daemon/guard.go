package daemon

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"
	"golang.org/x/sync/errgroup"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/guard"
	"github.com/ctkeeper/ctkeeper/host/capability"
	"github.com/ctkeeper/ctkeeper/host/logging"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/systemd"
)

const (
	// guardTimeout bounds how long READY waits for the guard.
	guardTimeout = 5 * time.Second
	// guardRetry is the time after which an unavailable guard is opened again: its reason may be gone.
	guardRetry = 5 * time.Minute
)

// watchGuard runs the guard that the configuration asks for, until ctx ends or a running guard
// fails.
func (d *Daemon) watchGuard(ctx context.Context) error {
	logged := ""
	for ctx.Err() == nil {
		cfg, changed := d.configuration()
		if cfg.Guard.Mode == config.GuardOff {
			_ = d.guard.setGuard(nil, cfg.Guard, stoppedGuard(cfg.Guard)) // nil without a guard
			logged = ""
			sleep(ctx, 0, changed)
			continue
		}
		running, err := d.openGuard(cfg.Guard)
		if err != nil {
			if s := d.setUnavailable(cfg.Guard, err); s.Error != logged {
				logged = s.Error
				_, hint := joinMissing(s.Missing)
				d.opts.Log.Warn("guard: unavailable, the settings are applied without it",
					logging.String(systemd.KeyError, s.Error), optional(systemd.KeyHint, hint))
			}
			sleep(ctx, guardRetry, changed)
			continue
		}
		logged = ""
		if err := d.runGuard(ctx, running, cfg.Guard); err != nil {
			cfg, _ := d.configuration()
			d.setUnavailable(cfg.Guard, err)
			return err
		}
	}
	return ctx.Err()
}

func (d *Daemon) openGuard(cfg config.Guard) (*guard.Guard, error) {
	if !d.host.Live() {
		why := capability.Missing{What: "the guard", Why: "another root has files only, and no kernel"}
		return nil, &guard.Unavailable{Missing: why}
	}
	return guard.Open(guard.Options{Allow: cfg.Allow})
}

// setUnavailable stores and returns the status of a guard that cannot run, with the reason.
func (d *Daemon) setUnavailable(cfg config.Guard, err error) status.Guard {
	s := stoppedGuard(cfg)
	s.State, s.Error = status.GuardUnavailable, err.Error()
	if why := (*guard.Unavailable)(nil); errors.As(err, &why) {
		s.Error, s.Missing = why.Why, missingWithHints(why.Missing)
	}
	_ = d.guard.setGuard(nil, cfg, s) // nil without a guard
	return s
}

// runGuard runs a guard until ctx ends, the guard fails, or the configuration asks for another
// one; it then returns nil.
func (d *Daemon) runGuard(ctx context.Context, running *guard.Guard, cfg config.Guard) (err error) {
	defer func() {
		_ = d.guard.setGuard(nil, cfg, stoppedGuard(cfg)) // nil without a guard
		err = errors.Join(err, running.Close())
	}()
	features := running.Features()
	s := stoppedGuard(cfg)
	s.Names, s.Missing = featureNames(features), missingWithHints(features.Missing...)
	if err := d.guard.setGuard(running, cfg, s); err != nil {
		return err
	}
	d.logGuard()
	// A full pass finds the writes from before the guard ran.
	d.keeper.Wake(reconcile.Guard | reconcile.Overflow)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() error {
		return running.Run(ctx, d.wakeFor(reconcile.Guard),
			func(b guard.BlockedWrite) {
				if e, ok := d.guard.countBlocked(b); ok {
					d.recorder.Record(e)
				}
			})
	})
	tasks.Go(func() error { return d.followGuardConfig(ctx, running, cfg, stop) })
	if err := tasks.Wait(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// followGuardConfig applies a new mode to the running guard. It stops the guard if the configuration turns
// it off, or has another list of allowed units, which only Open takes.
func (d *Daemon) followGuardConfig(ctx context.Context, running *guard.Guard, cfg config.Guard, stop func()) error {
	for {
		newest, changed := d.configuration()
		switch now := newest.Guard; {
		case ctx.Err() != nil:
			return ctx.Err()
		case now.Mode == config.GuardOff || !slices.Equal(now.Allow, cfg.Allow):
			stop()
			return nil
		case now.Mode != cfg.Mode:
			cfg = now
			if err := d.guard.setConfig(now); err != nil {
				return err
			}
			d.logGuard()
		}
		sleep(ctx, 0, changed)
	}
}

// logGuard logs the state of the guard, and the features that are missing on this host. It warns where hold was
// configured and has no effect.
func (d *Daemon) logGuard() {
	s := d.guard.report()
	level, message := zapcore.InfoLevel, map[status.GuardState]string{
		status.GuardWatching: "guard: watching, every foreign write is reported",
		status.GuardLocked:   "guard: locked, foreign writes of other values are refused",
		status.GuardHolding:  "guard: holding, foreign writes of other values succeed and change nothing",
	}[s.State]
	if d.guard.isDisarmed() {
		level, message = zapcore.WarnLevel, "guard: watching, hold has no effect here"
	}
	missing, hint := joinMissing(s.Missing)
	d.opts.Log.Log(level, message, logging.String(systemd.KeyNames, strings.Join(s.Names, ",")),
		optional(systemd.KeySetting, strings.Join(slices.Concat(s.Locked, s.Held), ",")),
		optional(systemd.KeyMissing, missing), optional(systemd.KeyHint, hint))
}

// optional returns a field of a log entry, and no field if the value is empty.
func optional(key, value string) logging.Field {
	if value == "" {
		return logging.Skip()
	}
	return logging.String(key, value)
}

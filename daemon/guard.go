package daemon

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/guard"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/sysfs"
	"github.com/ctkeeper/ctkeeper/systemd"
)

// maxSaid bounds the writers whose refusal was said and is remembered; when there are more, all
// are said anew.
const maxSaid = 256

// guardTime bounds how long the daemon's readiness waits for the guard.
const guardTime = 5 * time.Second

// guardRetry is how long after a guard could not be had it is tried again: what was missing
// may be there.
const guardRetry = 5 * time.Minute

// guardian holds the guard while there is one, and what it is to know. It is the keeper's
// witness.
type guardian struct {
	// tried is closed when the first guard was opened, or could not be.
	tried chan struct{}
	once  sync.Once

	mu      sync.Mutex
	guard   *guard.Guard       // nil: there is none
	wanted  config.Guard       // by the configuration
	desired *reconcile.Desired // adopted last
	status  status.Guard       // but for what report adds
	refused []status.RefusedWrites
	said    map[refusedWriter]bool
}

// refusedWriter is who was refused what, without what differs each time.
type refusedWriter struct{ setting, comm, place string }

func newGuardian() *guardian {
	return &guardian{tried: make(chan struct{}), status: guardOff(config.Guard{Mode: config.GuardOff}), said: map[refusedWriter]bool{}}
}

// Wrote implements reconcile.Witness.
func (g *guardian) Wrote(s *sysfs.Setting, found string, after time.Time) *sysfs.Writer {
	if open := g.opened(); open != nil {
		return open.Wrote(s, found, after)
	}
	return nil
}

// Moved implements reconcile.Witness.
func (g *guardian) Moved(loaded bool, after time.Time) *sysfs.Writer {
	if open := g.opened(); open != nil {
		return open.Moved(loaded, after)
	}
	return nil
}

func (g *guardian) opened() *guard.Guard {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.guard
}

// adopt tells the guard what is wanted, within the pass that takes it over: whatever that pass
// writes is let through.
func (g *guardian) adopt(desired *reconcile.Desired) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.desired = desired
	return g.tell()
}

// use takes a guard over, or none, and what is wanted of it.
func (g *guardian) use(open *guard.Guard, wanted config.Guard, current status.Guard) error {
	defer g.once.Do(func() { close(g.tried) })
	g.mu.Lock()
	defer g.mu.Unlock()
	g.guard, g.wanted, g.status = open, wanted, current
	return g.tell()
}

// tell brings the guard up to date.
func (g *guardian) tell() error {
	if g.guard == nil {
		return nil
	}
	lock := g.locks()
	g.status.State, g.status.Note = status.GuardWatching, ""
	if lock {
		g.status.State, g.status.Note = status.GuardLocked, lockNote
	}
	if g.desired == nil {
		return nil
	}
	return g.guard.SetWants(g.desired.Wants, lock)
}

// locks reports whether foreign writes are refused: never in observe mode, which changes
// nothing on the host.
func (g *guardian) locks() bool {
	return g.wanted.Mode == config.GuardLock && (g.desired == nil || g.desired.Mode == reconcile.Enforce)
}

// report is the guard's part of the status.
func (g *guardian) report() status.Guard {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.status
	s.Mode = string(g.wanted.Mode)
	s.Allow, s.Refused = append([]string{}, g.wanted.Allow...), append([]status.RefusedWrites{}, g.refused...)
	s.Locked = []string{}
	if s.State == status.GuardLocked && g.desired != nil {
		for _, want := range g.desired.Wants {
			if guard.Lockable(want.Setting) {
				s.Locked = append(s.Locked, want.Setting.Name)
			}
		}
	}
	return s
}

// refuse counts a refused write and gives its event; one that was said of this writer before
// is quiet.
func (g *guardian) refuse(r guard.Refusal) reconcile.Event {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refused = countRefusal(g.refused, r)
	want := ""
	if g.desired != nil {
		if i := slices.IndexFunc(g.desired.Wants, func(w sysfs.Want) bool { return w.Setting.Name == r.Setting.Name }); i >= 0 {
			want = g.desired.Wants[i].String()
		}
	}
	e := reconcile.RefusedWrite(r.At, r.Setting.Name, want, r.Value, &r.By)
	who := refusedWriter{r.Setting.Name, r.By.Comm, r.By.Place()}
	if e.Quiet = g.said[who]; !e.Quiet && len(g.said) == maxSaid {
		clear(g.said)
	}
	g.said[who] = true
	return e
}

// watchGuard keeps the guard as the configuration wants it, until ctx ends or one that was
// there fails.
func (d *Daemon) watchGuard(ctx context.Context) error {
	said := ""
	for ctx.Err() == nil {
		wanted := d.configuration().Guard
		if wanted.Mode == config.GuardOff {
			_ = d.guardian.use(nil, wanted, guardOff(wanted)) // nothing to tell
			said = ""
			d.guardAsked(ctx, 0)
			continue
		}
		open, err := d.openGuard(wanted)
		if err != nil {
			if current := d.guardIsUnavailable(wanted, err); current.Error != said {
				said = current.Error
				fields := []zap.Field{zap.String(systemd.KeyError, current.Error)}
				if _, hint := joinMissing(current.Missing); hint != "" {
					fields = append(fields, zap.String(systemd.KeyHint, hint))
				}
				d.opts.Log.Warn("the guard cannot be had, the settings are kept without it", fields...)
			}
			d.guardAsked(ctx, guardRetry)
			continue
		}
		said = ""
		if err := d.runGuard(ctx, open, wanted); err != nil {
			d.guardIsUnavailable(d.configuration().Guard, err)
			return err
		}
	}
	return ctx.Err()
}

// guardAsked waits for a configuration to be read, at most so long; 0 is for ever.
func (d *Daemon) guardAsked(ctx context.Context, most time.Duration) {
	var late <-chan time.Time
	if most > 0 {
		late = time.After(most)
	}
	select {
	case <-ctx.Done():
	case <-d.guardConfigured:
	case <-late:
	}
}

func (d *Daemon) openGuard(wanted config.Guard) (*guard.Guard, error) {
	if d.opts.Source.Root != "" {
		return nil, &guard.Unavailable{Missing: guard.Missing{What: "the guard", Why: "below another root there are files, and no kernel"}}
	}
	return guard.Open(guard.Options{Allow: wanted.Allow})
}

// guardIsUnavailable notes why there is no guard.
func (d *Daemon) guardIsUnavailable(wanted config.Guard, err error) status.Guard {
	current := guardOff(wanted)
	current.State, current.Error = status.GuardUnavailable, err.Error()
	if why := (*guard.Unavailable)(nil); errors.As(err, &why) {
		current.Error, current.Missing = why.Why, missingWithHints(why.Missing)
	}
	_ = d.guardian.use(nil, wanted, current) // nothing to tell
	return current
}

// runGuard runs a guard until ctx ends, it fails, or another one is wanted: nil.
func (d *Daemon) runGuard(ctx context.Context, open *guard.Guard, wanted config.Guard) (err error) {
	defer func() {
		_ = d.guardian.use(nil, wanted, guardOff(wanted)) // nothing to tell
		err = errors.Join(err, open.Close())
	}()
	can := open.Abilities()
	current := guardOff(wanted)
	current.Names, current.Missing = abilityNames(can), missingWithHints(can.Missing...)
	if err := d.guardian.use(open, wanted, current); err != nil {
		return err
	}
	d.sayGuard()
	// What was written before is found by looking.
	d.keeper.Wake(reconcile.Guard | reconcile.Overflow)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() error {
		return open.Run(ctx, d.waker(reconcile.Guard), func(r guard.Refusal) { d.recorder.Record(d.guardian.refuse(r)) })
	})
	tasks.Go(func() error { return d.followGuard(ctx, open, wanted, stop) })
	if err := tasks.Wait(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// followGuard follows the configuration: another mode needs no other guard, another list of
// units does.
func (d *Daemon) followGuard(ctx context.Context, open *guard.Guard, wanted config.Guard, stop func()) error {
	for {
		d.guardAsked(ctx, 0)
		now := d.configuration().Guard
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case now.Mode == config.GuardOff || !slices.Equal(now.Allow, wanted.Allow):
			poke(d.guardConfigured) // for who opens the next
			stop()
			return nil
		case now.Mode != wanted.Mode:
			wanted = now
			if err := d.guardian.use(open, now, d.guardian.report()); err != nil {
				return err
			}
			d.sayGuard()
		}
	}
}

// sayGuard tells what the guard does, and in the same line what it cannot tell here.
func (d *Daemon) sayGuard() {
	current := d.guardian.report()
	message := "the guard watches: every foreign write is seen at once"
	if current.State == status.GuardLocked {
		message = "the guard is locked: foreign writes of other values are refused"
	}
	fields := []zap.Field{zap.String(systemd.KeyNames, strings.Join(current.Names, ","))}
	if current.State == status.GuardLocked {
		fields = append(fields, zap.String(systemd.KeySetting, strings.Join(current.Locked, ",")))
	}
	if missing, hint := joinMissing(current.Missing); missing != "" {
		fields = append(fields, zap.String(systemd.KeyMissing, missing))
		if hint != "" {
			fields = append(fields, zap.String(systemd.KeyHint, hint))
		}
	}
	d.opts.Log.Info(message, fields...)
}

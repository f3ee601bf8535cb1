package daemon

import (
	"slices"
	"sync"
	"time"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/guard"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// maxRefusedWriters bounds the set of writers whose refusal was logged. If it is full, it is cleared, and
// the writers are logged again.
const maxRefusedWriters = 256

// guardControl connects the guard, where one runs, with the configuration and the desired
// state. It implements reconcile.Attributor.
type guardControl struct {
	// ready is closed after the first attempt to open a guard, or if the guard is off.
	ready     chan struct{}
	readyOnce sync.Once

	mu      sync.Mutex
	guard   *guard.Guard // nil if none runs
	cfg     config.Guard
	desired *reconcile.Desired // of the last pass; nil before the first one
	status  status.Guard       // without what report adds
	refused []status.RefusedWrites
	logged  map[refusedWriter]bool
}

// refusedWriter identifies a writer and a setting, without pid and value, which differ at each write.
type refusedWriter struct{ setting, comm, place string }

func newGuardControl() *guardControl {
	return &guardControl{
		ready: make(chan struct{}), status: stoppedGuard(config.Guard{Mode: config.GuardOff}),
		logged: map[refusedWriter]bool{},
	}
}

// WriterOf implements reconcile.Attributor.
func (g *guardControl) WriterOf(s *sysfs.Setting, found sysfs.Value, after time.Time) *sysfs.Writer {
	if running := g.current(); running != nil {
		return running.WriterOf(s, found, after)
	}
	return nil
}

// ModuleChanger implements reconcile.Attributor.
func (g *guardControl) ModuleChanger(loaded bool, after time.Time) *sysfs.Writer {
	if running := g.current(); running != nil {
		return running.ModuleChanger(loaded, after)
	}
	return nil
}

// IsWatching implements reconcile.Attributor.
func (g *guardControl) IsWatching() bool { return g.current() != nil }

// current returns the running guard, or nil.
func (g *guardControl) current() *guard.Guard {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.guard
}

// setDesired updates the guard's rules from the desired state. It is called in the pass that adopts that
// state, before the pass writes, so that the lock does not refuse a value of the new state.
func (g *guardControl) setDesired(desired *reconcile.Desired) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.desired = desired
	return g.update()
}

// setGuard replaces the guard, its configuration and its status. running is nil if none runs; the
// error is then nil, too.
func (g *guardControl) setGuard(running *guard.Guard, cfg config.Guard, current status.Guard) error {
	defer g.readyOnce.Do(func() { close(g.ready) })
	g.mu.Lock()
	defer g.mu.Unlock()
	g.guard, g.cfg, g.status = running, cfg, current
	return g.update()
}

// update applies configuration and desired state to the running guard, if there is one.
func (g *guardControl) update() error {
	if g.guard == nil {
		return nil
	}
	// In mode observe nothing is blocked: it changes nothing on the host.
	enforce := g.desired == nil || g.desired.Mode == reconcile.Enforce
	mode := guard.Watch
	g.status.State, g.status.Note = status.GuardWatching, ""
	switch {
	case enforce && g.cfg.Mode == config.GuardLock:
		mode, g.status.State, g.status.Note = guard.Lock, status.GuardLocked, lockNote
	case enforce && g.cfg.Mode == config.GuardHold:
		mode, g.status.State = guard.Hold, status.GuardHolding
	}
	if g.desired == nil {
		return nil
	}
	return g.guard.SetWants(g.desired.Wants, mode)
}

// report returns the guard's part of the document.
func (g *guardControl) report() status.Guard {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.status
	s.Mode = string(g.cfg.Mode)
	s.Allow, s.Refused = append([]string{}, g.cfg.Allow...), append([]status.RefusedWrites{}, g.refused...)
	s.Locked = []string{}
	if s.State == status.GuardLocked && g.desired != nil {
		for _, want := range g.desired.Wants {
			if g.guard.CanBlock(want.Setting) {
				s.Locked = append(s.Locked, want.Setting.Name)
			}
		}
	}
	return s
}

// countRefusal counts a refused write and returns its event, which is CountOnly if a refused write of the
// same writer to the same setting was logged before.
func (g *guardControl) countRefusal(r guard.BlockedWrite) reconcile.Event {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refused = addRefusal(g.refused, r)
	want := sysfs.Want{Setting: r.Setting}
	if g.desired != nil {
		isRefused := func(w sysfs.Want) bool { return w.Setting.Name == r.Setting.Name }
		if i := slices.IndexFunc(g.desired.Wants, isRefused); i >= 0 {
			want = g.desired.Wants[i]
		}
	}
	e := reconcile.RefusedWriteEvent(r.At, want, r.Value, &r.By)
	who := refusedWriter{r.Setting.Name, r.By.Comm, r.By.Cgroup()}
	if e.CountOnly = g.logged[who]; !e.CountOnly && len(g.logged) == maxRefusedWriters {
		clear(g.logged)
	}
	g.logged[who] = true
	return e
}

package daemon

import (
	"slices"
	"sync"
	"time"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/guard"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// maxBlockedWriters bounds the set of writers whose blocked writes were logged. If it is full, it is cleared,
// and the writers are logged again.
const maxBlockedWriters = 256

// guardControl connects the guard, where one runs, with the configuration and the desired
// state. It implements reconcile.Attributor.
type guardControl struct {
	// ready is closed after the first attempt to open a guard, or if the guard is off.
	ready     chan struct{}
	readyOnce sync.Once

	// files has kernel.sysctl_writes_strict.
	files *sysfs.Files

	mu      sync.Mutex
	guard   *guard.Guard // nil if none runs
	cfg     config.Guard
	desired *reconcile.Desired // of the last pass; nil before the first one
	status  status.Guard       // without what report adds
	// refused and absorbed are the blocked writes since the start.
	refused, absorbed []status.BlockedWrites
	strict            strictness // read for hold only
	logged            map[blockedWriter]bool
}

// blockedWriter identifies a writer and a setting, without pid and value, which differ at each write.
type blockedWriter struct {
	kind                 reconcile.Kind
	setting, comm, place string
}

func newGuardControl(host tree.Tree) *guardControl {
	return &guardControl{
		ready: make(chan struct{}), status: stoppedGuard(config.Guard{Mode: config.GuardOff}),
		files: sysfs.NewReader(host), logged: map[blockedWriter]bool{},
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
	g.guard, g.cfg, g.status, g.strict = running, cfg, current, strictness{}
	return g.update()
}

// setConfig replaces the configuration of the running guard.
func (g *guardControl) setConfig(cfg config.Guard) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.cfg = cfg
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
	g.status.State, g.status.Note, g.strict = status.GuardWatching, "", strictness{}
	switch {
	case enforce && g.cfg.Mode == config.GuardLock:
		mode, g.status.State, g.status.Note = guard.Lock, status.GuardLocked, lockNote
	case enforce && g.cfg.Mode == config.GuardHold:
		if g.strict = readStrictness(g.files); g.strict.isStrict() {
			mode, g.status.State, g.status.Note = guard.Hold, status.GuardHolding, holdNote
		}
	}
	if g.desired == nil {
		return nil
	}
	return g.guard.SetWants(g.desired.Wants, mode)
}

// recheckHold reads again whether hold has an effect on this host, and arms or disarms it. It reports whether
// the state of the guard changed.
func (g *guardControl) recheckHold() (changed bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.guard == nil || g.strict == (strictness{}) || readStrictness(g.files) == g.strict {
		return false, nil
	}
	before := g.status.State
	err = g.update()
	return g.status.State != before, err
}

// isDisarmed reports whether hold is configured and has no effect on this host.
func (g *guardControl) isDisarmed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.strict != strictness{} && !g.strict.isStrict()
}

// report returns the guard's part of the document.
func (g *guardControl) report() status.Guard {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.status
	s.Mode = string(g.cfg.Mode)
	s.Allow = append([]string{}, g.cfg.Allow...)
	s.Refused = append([]status.BlockedWrites{}, g.refused...)
	s.Absorbed = append([]status.BlockedWrites{}, g.absorbed...)
	s.Missing = append(slices.Clone(s.Missing), g.strict.missing()...)
	s.Locked, s.Held = []string{}, []string{}
	blocked := map[status.GuardState]*[]string{status.GuardLocked: &s.Locked, status.GuardHolding: &s.Held}[s.State]
	if blocked != nil && g.desired != nil {
		for _, want := range g.desired.Wants {
			if g.guard.CanBlock(want.Setting) {
				*blocked = append(*blocked, want.Setting.Name)
			}
		}
	}
	return s
}

// countBlocked counts a blocked write and returns its event, which is CountOnly if such a write of the same
// writer to the same setting was logged before. ok is false for a write that was to be absorbed and has changed
// the value, because kernel.sysctl_writes_strict is not 1 any more: the pass that follows reports the drift.
func (g *guardControl) countBlocked(b guard.BlockedWrite) (e reconcile.Event, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	kind, blocked := reconcile.KindRefusedWrite, &g.refused
	if b.Absorbed {
		if !readStrictness(g.files).isStrict() {
			return e, false
		}
		kind, blocked = reconcile.KindAbsorbedWrite, &g.absorbed
	}
	*blocked = addBlocked(*blocked, b)
	want := sysfs.Want{Setting: b.Setting}
	if g.desired != nil {
		isBlocked := func(w sysfs.Want) bool { return w.Setting.Name == b.Setting.Name }
		if i := slices.IndexFunc(g.desired.Wants, isBlocked); i >= 0 {
			want = g.desired.Wants[i]
		}
	}
	e = reconcile.BlockedWriteEvent(b.At, kind, want, b.Value, &b.By)
	who := blockedWriter{kind, b.Setting.Name, b.By.Comm, b.By.Cgroup()}
	if e.CountOnly = g.logged[who]; !e.CountOnly && len(g.logged) == maxBlockedWriters {
		clear(g.logged)
	}
	g.logged[who] = true
	return e, true
}

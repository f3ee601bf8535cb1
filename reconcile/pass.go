package reconcile

import (
	"time"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

const (
	// While the module is in transition, the loop makes a pass after firstRecheck, and then after twice
	// the previous wait, at most maxRecheck: kernels before 5.11 announce a load before it is done.
	firstRecheck = 2 * time.Millisecond
	maxRecheck   = time.Second
	// maxReads is how many times at most a pass reads all settings. It reads again if a read failed and
	// the module changed meanwhile.
	maxReads = 3
)

// pass is one run of observe, diff, apply, record. It holds keeper.mu.
type pass struct {
	keeper         *Keeper
	reasons        Reason
	since          time.Time // when the first reason arose
	now            time.Time // the begin of the pass
	previous       time.Time // the begin of the previous pass
	first          bool      // the first pass of this Keeper
	moduleChanged  bool      // the module was loaded, unloaded or reloaded since the previous pass
	forbidden      []forbiddenGroup
	newDrifts      []*tracked
	moduleChangers map[bool]*sysfs.Writer // who loaded (true) and unloaded (false) the module
	events         []eventDraft
}

// forbiddenGroup is the settings whose writes failed with the same permission error and have the same
// remedy.
type forbiddenGroup struct {
	errText, remedy string
	settings        []string
}

// Pass makes one pass: it reads every wanted setting, writes those that do not satisfy their want,
// reads these back, and records the events. since is when the first of the reasons arose.
func (k *Keeper) Pass(reasons Reason, since time.Time) {
	k.mu.Lock()
	p := &pass{
		keeper: k, reasons: reasons, since: since, now: time.Now(), previous: k.lastPass, first: !k.moduleKnown,
	}
	p.run()
	took := time.Since(p.now)
	p.attribute()
	changed := k.publish() || p.first
	k.mu.Unlock()

	for _, e := range p.events {
		k.opts.Hooks.Record(e.Event)
	}
	k.opts.Hooks.OnPass(reasons, took, changed)
}

func (p *pass) run() {
	p.adopt()
	seen := p.observe()
	p.unblockWrites()
	k := p.keeper
	states, changes := Diff(k.adopted.Wants, seen)
	for i, t := range k.tracked {
		p.applyReading(t, states[i], seen.Readings[i])
	}
	for _, change := range changes {
		p.handleDrift(k.tracked[change.Index], change)
	}
	for _, group := range p.forbidden {
		p.addEvent(forbiddenEvent(p.now, group), nil, forbiddenMessage(group))
	}
	for _, t := range k.tracked {
		t.isNew = false
	}
	k.lastPass = p.now
}

// adopt makes a desired state that was set since the previous pass the one in use. Settings that both
// want keep their history; settings that only the old one wanted are no longer tracked.
func (p *pass) adopt() {
	k := p.keeper
	desired := k.desired.Load()
	if desired == k.adopted {
		return
	}
	known := map[string]*tracked{}
	for _, t := range k.tracked {
		known[t.want.Setting.Name] = t
	}
	k.tracked = make([]*tracked, len(desired.Wants))
	for i, want := range desired.Wants {
		t := known[want.Setting.Name]
		if t == nil {
			t = newTracked(want)
		}
		t.setWant(want)
		k.tracked[i] = t
	}
	k.adopted = desired
	k.opts.Hooks.OnDesired(desired)
}

// unblockWrites allows writes again that an earlier error blocks, because its reason may be gone: the
// module or the configuration changed, or an operator sent SIGHUP. After a module change, an equal
// error is not reported again.
func (p *pass) unblockWrites() {
	for _, t := range p.keeper.tracked {
		switch {
		case p.reasons.Has(Config):
			t.writeFailure = writeFailure{}
		case p.moduleChanged:
			t.writeFailure = t.writeFailure.allowRetry()
		}
	}
}

// observe reads the state of the module and every wanted setting. If a read failed and the module
// changed meanwhile, it reads all again: a file that disappeared with its module is not one that this
// kernel does not have.
func (p *pass) observe() Observation {
	k := p.keeper
	seen := Observation{Readings: make([]Reading, len(k.adopted.Wants))}
	for range maxReads {
		seen.Module = p.checkModule()
		failed := false
		for i, want := range k.adopted.Wants {
			r := &seen.Readings[i]
			r.Value, r.Err = k.opts.Kernel.Read(want.Setting)
			failed = failed || r.Err != nil
		}
		if !failed || k.opts.Kernel.Module() == seen.Module {
			break
		}
	}
	return seen
}

// checkModule reads the state of the module and adds events for its changes. It calls OnModuleChange,
// which sets the watches, before any setting is read: a write in between is then seen twice, never
// missed.
func (p *pass) checkModule() Module {
	k := p.keeper
	found, before := k.opts.Kernel.Module(), k.module
	if found.InTransition {
		k.moduleRecheck = min(max(2*k.moduleRecheck, firstRecheck), maxRecheck)
	} else {
		k.moduleRecheck = 0
	}
	if k.moduleKnown && found.Present == before.Present && found.Instance == before.Instance {
		k.module = found
		return found
	}
	k.opts.Hooks.OnModuleChange()
	if k.moduleKnown {
		p.moduleChanged = true
		if before.Present {
			p.addEvent(moduleEvent(p.now, KindModuleUnload), nil, moduleMessage)
		}
		if found.Present {
			k.loads++
			p.addEvent(moduleEvent(p.now, KindModuleLoad), nil, moduleMessage)
		}
	}
	k.moduleKnown, k.module = true, found
	return found
}

package reconcile

import (
	"path"
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
	seen           Observation // reused
	states         []State     // reused
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
	p := &k.pass
	*p = pass{
		keeper: k, reasons: reasons, since: since, now: time.Now(), previous: k.lastPass, first: !k.moduleKnown,
		newDrifts: p.newDrifts[:0], events: p.events[:0], seen: p.seen, states: p.states,
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
	p.recordEarly()
	p.adopt()
	p.observe()
	p.unblockWrites()
	k := p.keeper
	var changes []Change
	p.states, changes = diff(p.states[:0], k.adopted.Wants, p.seen)
	for i, t := range k.tracked {
		p.applyReading(t, p.states[i], p.seen.Readings[i])
	}
	for _, change := range changes {
		p.handleDrift(k.tracked[change.Index], change)
	}
	for _, group := range p.forbidden {
		p.addEvent(forbiddenEvent(p.now, group), nil, forbiddenMessage(group))
	}
	for _, t := range k.tracked {
		t.isNew = false
		t.noteState(p.now)
	}
	k.lastPass = p.now
	if p.moduleChanged {
		k.opts.Hooks.OnModuleChange()
		k.Wake(ModuleChange)
	}
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
	k.tracked, k.byFile = make([]*tracked, len(desired.Wants)), map[string]*tracked{}
	for i, want := range desired.Wants {
		t := known[want.Setting.Name]
		if t == nil {
			t = newTracked(want)
		}
		t.setWant(want)
		t.isSlow = isSlow(want.Setting, desired.Wants)
		k.tracked[i], k.byFile[path.Base(want.Setting.File())] = t, t
	}
	p.seen.Readings = make([]Reading, len(desired.Wants))
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
func (p *pass) observe() {
	k, seen := p.keeper, &p.seen
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
}

// checkModule reads the state of the module and adds events for its changes.
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

package reconcile

import (
	"time"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

const (
	// A module that is loading or unloading is looked at again after this time, doubling:
	// kernels before 5.11 announce a load before it is done.
	firstSettling = 2 * time.Millisecond
	maxSettling   = time.Second
	// maxReads is how often a pass reads again because the module changed meanwhile.
	maxReads = 3
)

// pass is one run of observe, diff, apply, record. It holds keeper.mu.
type pass struct {
	keeper        *Keeper
	reasons       Reason
	since         time.Time // the wake
	now           time.Time // the begin of the pass
	before        time.Time // the begin of the pass before this one
	first         bool
	moduleChanged bool // the module was loaded, unloaded or reloaded since the pass before
	denials       []denial
	newDrifts     []*tracked
	moduleBy      map[bool]*sysfs.Writer // who loaded (true) and unloaded (false) the module
	events        []pendingEvent
}

// denial is a reason why settings may not be written, with their names.
type denial struct {
	why, remedy string
	settings    []string
}

// Pass makes one pass: it reads every wanted setting, writes what differs, reads it back, and
// records what happened. since is when the first of the reasons arose.
func (k *Keeper) Pass(reasons Reason, since time.Time) {
	k.mu.Lock()
	p := &pass{
		keeper: k, reasons: reasons, since: since, now: time.Now(), before: k.lastPass, first: !k.looked,
	}
	p.run()
	took := time.Since(p.now)
	p.attribute()
	changed := k.publish() || p.first
	k.mu.Unlock()

	for _, e := range p.events {
		k.opts.Observer.Record(e.Event)
	}
	k.opts.Observer.Passed(reasons, took, changed)
}

func (p *pass) run() {
	p.adopt()
	seen := p.observe()
	p.lift()
	k := p.keeper
	states, changes := Diff(k.adopted.Wants, seen)
	for i, t := range k.tracked {
		p.update(t, states[i], seen.Readings[i])
	}
	for _, change := range changes {
		p.handle(k.tracked[change.Index], change)
	}
	for _, d := range p.denials {
		p.add(forbiddenEvent(p.now, d), nil, forbiddenMessage(d))
	}
	for _, t := range k.tracked {
		t.isNew = false
	}
	k.lastPass = p.now
}

// adopt takes over a desired state that was set since the last pass. Settings that stay keep
// their history; settings that left are no longer tracked.
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
	k.opts.Observer.Adopted(desired)
}

// lift ends refusals that may no longer hold: the module was loaded anew, or a person asked.
func (p *pass) lift() {
	for _, t := range p.keeper.tracked {
		switch {
		case p.reasons.Has(Config):
			t.refusal = refusal{}
		case p.moduleChanged:
			t.refusal = t.refusal.retryNow()
		}
	}
}

// observe looks at the module and reads every wanted setting. Where the module changes
// meanwhile it reads again, so that a file that went away with its module is not taken for one
// that this kernel does not have.
func (p *pass) observe() Observation {
	k := p.keeper
	seen := Observation{Readings: make([]Reading, len(k.adopted.Wants))}
	for range maxReads {
		seen.Module = p.lookAtModule()
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

// lookAtModule follows the module, and has the watches set again before anything is read: a
// write between the setting of the watch and the read is then seen twice, never missed.
func (p *pass) lookAtModule() Module {
	k := p.keeper
	found, before := k.opts.Kernel.Module(), k.module
	if found.Settling {
		k.settling = min(max(2*k.settling, firstSettling), maxSettling)
	} else {
		k.settling = 0
	}
	if k.looked && found.Present == before.Present && found.Instance == before.Instance {
		k.module = found
		return found
	}
	k.opts.Observer.ModuleChanged()
	if k.looked {
		p.moduleChanged = true
		if before.Present {
			p.add(moduleEvent(p.now, KindModuleUnload), nil, moduleMessage)
		}
		if found.Present {
			k.loads++
			p.add(moduleEvent(p.now, KindModuleLoad), nil, moduleMessage)
		}
	}
	k.looked, k.module = true, found
	return found
}

package reconcile

import (
	"strings"
	"time"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

const (
	// A module that is coming or going is looked at again after this long,
	// doubling: kernels before 5.11 announce a load before it is done.
	firstSettling = 2 * time.Millisecond
	maxSettling   = time.Second
	// looks at the module that moves under our reading, before it is left to
	// the next pass.
	maxLooks = 3
)

// pass is one run of observe, diff, apply, record.
type pass struct {
	*Keeper
	reasons Reason
	since   time.Time // the wake
	now     time.Time
	before  time.Time // when the pass before this one began
	first   bool
	moved   bool // the module came, went or was reloaded
	denials []denial
	drifts  []*keeping // those that drifted anew
	movers  map[bool]*sysfs.Writer
	events  []told
}

// denial is a want of rights, and the settings it keeps from being set.
type denial struct {
	why, wayOut string
	names       []string
}

// Pass makes one pass: it looks at everything, writes what differs, reads it
// back and records what happened. since is when the reason for it arose.
func (k *Keeper) Pass(reasons Reason, since time.Time) {
	k.mu.Lock()
	p := &pass{Keeper: k, reasons: reasons, since: since, now: time.Now(), before: k.at, first: !k.looked}
	p.run()
	took := time.Since(p.now)
	p.testify()
	summary := k.summary()
	changed := p.first || summary != k.last
	k.last = summary
	k.mu.Unlock()

	for _, e := range p.events {
		k.opts.Recorder.Record(e.Event)
	}
	if k.opts.Passed != nil {
		k.opts.Passed(reasons, took)
	}
	if changed && k.opts.Changed != nil {
		k.opts.Changed()
	}
	if k.opts.Beat != nil {
		k.opts.Beat()
	}
}

func (p *pass) run() {
	p.adopt()
	seen := p.observe()
	if p.moved || p.reasons.Has(Config) {
		for _, kp := range p.keepings {
			kp.refused = refusal{}
		}
	}
	states, changes := Diff(p.adopted.Wants, seen)
	for i, kp := range p.keepings {
		p.follow(kp, states[i], seen.Readings[i])
	}
	for _, change := range changes {
		p.handle(p.keepings[change.Index], change)
	}
	for _, d := range p.denials {
		e := Event{At: p.now, Kind: KindForbidden, Setting: strings.Join(d.names, ","), Error: d.why, Result: NotRepaired}
		p.record(e, func(e Event) string { return forbidden(e, d.wayOut) })
	}
	for _, kp := range p.keepings {
		kp.fresh = false
	}
	p.at = p.now
}

// adopt takes over a desired state that was set since the last pass. What is
// known of settings that stay is kept; settings that left are let go.
func (p *pass) adopt() {
	desired := p.desired.Load()
	if desired == p.adopted {
		return
	}
	known := map[string]*keeping{}
	for _, kp := range p.keepings {
		known[kp.want.Setting.Name] = kp
	}
	p.keepings = make([]*keeping, len(desired.Wants))
	for i, want := range desired.Wants {
		kp := known[want.Setting.Name]
		if kp == nil {
			kp = newKeeping(want)
		}
		kp.setWant(want)
		p.keepings[i] = kp
	}
	p.adopted = desired
	if p.opts.Adopted != nil {
		p.opts.Adopted(desired)
	}
}

// observe looks at the module and reads every wanted setting. When the module
// moves under the reading it looks again, so that a file that just went with
// its module is not taken for one that this kernel never had.
func (p *pass) observe() Observation {
	seen := Observation{Readings: make([]Reading, len(p.adopted.Wants))}
	for range maxLooks {
		seen.Module = p.lookAtModule()
		gone := false
		for i, want := range p.adopted.Wants {
			r := &seen.Readings[i]
			r.Value, r.Err = p.opts.Kernel.Read(want.Setting)
			gone = gone || r.Err != nil
		}
		if !gone || p.opts.Module() == seen.Module {
			break
		}
	}
	return seen
}

// lookAtModule follows the module, and has the watches set anew before anything
// is read: a write between the watch and the reading is then seen twice, never
// missed.
func (p *pass) lookAtModule() Module {
	found, before := p.opts.Module(), p.module
	if found.Settling {
		p.settling = min(max(2*p.settling, firstSettling), maxSettling)
	} else {
		p.settling = 0
	}
	if p.looked && found.Present == before.Present && found.Instance == before.Instance {
		p.module = found
		return found
	}
	if p.opts.ModuleMoved != nil {
		p.opts.ModuleMoved()
	}
	if p.looked {
		p.moved = true
		if before.Present {
			p.recordMove(KindModuleUnload)
		}
		if found.Present {
			p.loads++
			p.recordMove(KindModuleLoad)
		}
	}
	p.looked, p.module = true, found
	return found
}

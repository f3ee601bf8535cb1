package reconcile

import (
	"time"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

// How long before the last look that did not find it something may have begun: a write is
// seen before the kernel takes it, and to fill a large hash table takes a second or more; a load is
// seen before the module's files are there.
const (
	writeSlack = 4 * time.Second
	moveSlack  = 5 * time.Second
)

// told is an event that waits for the end of the pass: no writing waits for a log, nor for
// the name that the event's sentence has in it.
type told struct {
	Event
	of  *keeping // whose drift it tells of, or nil
	say func(Event) string
}

func (p *pass) record(e Event, say func(Event) string) {
	p.events = append(p.events, told{e, nil, say})
}

func (p *pass) recordDrift(kp *keeping, e Event, say func(Event) string) {
	p.events = append(p.events, told{e, kp, say})
}

func (p *pass) recordMove(kind Kind) {
	p.record(Event{At: p.now, Kind: kind}, func(e Event) string { return moduleMoved(e, p.opts.ModuleName) })
}

// testify names who brought about what the pass found, and makes the sentences of its events.
func (p *pass) testify() {
	if p.opts.Witness != nil {
		for _, kp := range p.drifts {
			p.nameDrift(kp)
		}
		for i := range p.events {
			p.nameEvent(&p.events[i])
		}
	}
	for i := range p.events {
		t := &p.events[i]
		t.Message = t.say(t.Event)
	}
}

// nameDrift asks who a new drift came from. What the start or a configuration brought has
// nobody to name.
func (p *pass) nameDrift(kp *keeping) {
	drift := kp.status.LastDrift
	switch kp.cause {
	case CauseModuleLoad:
		drift.By = p.mover(true)
	case CauseWrite, CauseResync:
		drift.By = p.opts.Witness.Wrote(kp.want.Setting, drift.Found, p.before.Add(-writeSlack))
		if drift.By != nil {
			kp.cause, drift.Cause = CauseWrite, CauseWrite
			kp.metRival(drift.By, p.now)
		}
	}
}

// nameEvent gives an event the name that was found. A drift's name goes with the value that
// was found then: when somebody was faster than the repair, the next one is of another value.
func (p *pass) nameEvent(t *told) {
	switch {
	case t.Kind == KindModuleLoad:
		t.By = p.mover(true)
	case t.Kind == KindModuleUnload:
		t.By = p.mover(false)
	case t.of != nil:
		t.Cause = t.of.cause
		if drift := t.of.status.LastDrift; drift.Found == t.Found {
			t.By = drift.By
		} else if t.Cause == CauseWrite {
			t.By = p.opts.Witness.Wrote(t.of.want.Setting, t.Found, p.before.Add(-writeSlack))
		}
		if rivals := t.of.rivalsAt(p.now); t.Kind == KindContested && t.By == nil && len(rivals) > 0 {
			t.By = rivals[0].by
		}
	}
}

// mover is who loaded the module, or unloaded it, since the last look; it is asked for once.
func (p *pass) mover(loaded bool) *sysfs.Writer {
	by, asked := p.movers[loaded]
	if !asked {
		if p.movers == nil {
			p.movers = map[bool]*sysfs.Writer{}
		}
		by = p.opts.Witness.Moved(loaded, p.before.Add(-moveSlack))
		p.movers[loaded] = by
	}
	return by
}
